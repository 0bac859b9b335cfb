"""How much memory a server has: all of its processes, and what they share once."""

import subprocess
import sys
from pathlib import Path

from benchmarks.speed.servers import Ours, Theirs
from tests.support.service import Service

HELD_MB = 80
PROGRAM = f"""
import os, time
held = bytearray(os.urandom(1)) * {HELD_MB * 1_000_000}
if os.fork() == 0:
    own = bytearray(os.urandom(1)) * {HELD_MB * 1_000_000}
    print("up", flush=True)
time.sleep(60)
"""


def test_children_count_and_what_they_share_counts_once(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        service = Service("", process, tmp_path / "log")
        whole = [Ours(service).whole_mb(), Theirs(service).whole_mb()]
        service.kill_node()
    assert all(2 * HELD_MB < mb < 2.6 * HELD_MB for mb in whole), whole
