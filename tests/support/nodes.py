"""Several Ray nodes on this machine: one head, workers that can be killed like machines that lose their power."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.service import ROOT, Service, free_port


def ray_port() -> int:
    """Free, and not among those (10002 to 19999) that Ray gives to its workers."""
    while (port := free_port()) < 20_000:
        pass
    return port


class Nodes:
    """``environment`` is what the nodes' processes get: Serve builds applications on a node, not in the client."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = dict(os.environ) | environment | {
            "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0",
            # A node that is gone is noticed within seconds.
            "RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3",
        }  # fmt: skip
        self.address = f"127.0.0.1:{ray_port()}"
        self.head = self._start(
            "head", "--head", f"--port={self.address.rsplit(':', 1)[1]}", "--include-dashboard=false"
        )
        self.workers: list[Service] = []
        self._wait_for_head()

    def add(self) -> None:
        name = f"worker-{len(self.workers) + 1}"
        self.workers.append(self._start(name, f"--address={self.address}"))

    def close(self) -> None:
        for node in [*self.workers, self.head]:
            if node.process.poll() is None:
                node.stop(signal.SIGTERM)

    def _start(self, name: str, *arguments: str) -> Service:
        log = self._folder / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1",
                 "--object-store-memory=100000000", "--disable-usage-stats", *arguments],
                env=self._environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Service("", process, log)

    def _wait_for_head(self) -> None:
        host, port = self.address.split(":")
        end = time.monotonic() + 60
        while time.monotonic() < end and self.head.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"Ray did not start: {self.head.log.read_text()[-2000:]}")
