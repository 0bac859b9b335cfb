"""A drill that is ended, or breaks off, leaves nothing behind."""

import ast
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drills.flood import watching
from tests.support.service import Service, free_port

ROOT = Path(__file__).parents[3]
SCRIPTS = "\n".join(path.read_text() for path in sorted((ROOT / "scripts").iterdir()) if path.is_file())
DRILLS = sorted(set(re.findall(r"-m drills\.(\w+)", SCRIPTS)) - {"audit"})  # which starts nothing that stays
PROGRAM = """
import time
from drills.ending import end_on_sigterm
end_on_sigterm()
try:
    print("up", flush=True)
    time.sleep(60)
finally:
    print("put away", flush=True)
"""


@pytest.mark.parametrize("name", DRILLS)
def test_each_drill_begins_with_it(name: str) -> None:
    tree = ast.parse((ROOT / "drills" / f"{name}.py").read_text())
    (main,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    assert ast.unparse(main.body[0]) == "end_on_sigterm()"


def test_sigterm_puts_away_what_was_started() -> None:
    run = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "up\n"
    run.send_signal(signal.SIGTERM)
    assert run.communicate(timeout=30)[0] == "put away\n"
    assert run.returncode == 128 + signal.SIGTERM


def break_off() -> None:
    raise ZeroDivisionError


def test_nobody_watches_on_after_a_failure(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "30"]) as process:
        service = Service(f"http://127.0.0.1:{free_port()}", process, tmp_path / "log")
        before = threading.active_count()
        with pytest.raises(ZeroDivisionError), watching(service):
            break_off()
        left = threading.active_count() - before
        process.kill()
    assert left == 0
