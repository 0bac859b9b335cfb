"""Several Ray nodes on this machine: one head, workers that can be killed like machines that lose their power."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.service import ROOT, Service, free_port, neutral


def ray_port() -> int:
    """Free, and not among those (10002 to 19999) that Ray gives to its workers."""
    while (port := free_port()) < 20_000:
        pass
    return port


_TRIES = 3


class RayFolder:
    """Ray's sessions and the address of the last cluster, apart from those of whoever works on this machine. The path
    is short, since sockets are kept there, and their paths must be."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="ray-")

    def remove(self) -> None:
        # What a killed process had open may still be written.
        shutil.rmtree(self.path, ignore_errors=True)


def wait_started(log: Path, process: subprocess.Popen[bytes], patience_s: float = 120) -> None:
    """Until ``ray start`` says so: an open port is not yet a cluster that drivers can join."""
    end = time.monotonic() + patience_s
    while "Ray runtime started" not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            raise TimeoutError(f"Ray did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)


class Nodes:
    """``environment`` is what the nodes' processes get: Serve builds applications on a node, not in the client."""

    def __init__(self, folder: Path, environment: dict[str, str], cpus: int = 1) -> None:
        self._folder = folder
        self._ray = RayFolder()
        self._cpus = cpus
        self.environment = neutral() | environment | {
            "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0",
            # A machine at work on other things may take its time to start one.
            "RAY_gcs_server_request_timeout_seconds": "180",
            # A node that is gone is noticed within seconds.
            "RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3",
        }  # fmt: skip
        self.address = f"127.0.0.1:{ray_port()}"
        self.head = self._start(
            "head", "--head", f"--port={self.address.rsplit(':', 1)[1]}", "--include-dashboard=false"
        )
        self.workers: list[Service] = []

    def add(self) -> None:
        """One after the other: Ray names their sockets by what files there are."""
        name = f"worker-{len(self.workers) + 1}"
        self.workers.append(self._start(name, f"--address={self.address}"))

    def close(self) -> None:
        """At once: in order, Ray would take half a minute for each of several nodes."""
        for node in [*self.workers, self.head]:
            if node.process.poll() is None:
                node.kill_node()
        self._ray.remove()

    def _start(self, name: str, *arguments: str) -> Service:
        """Started, and said so. Ray gives up after 30 s of its own where the machine is busy: then once more."""
        for attempt in range(1, _TRIES + 1):
            node = self._launch(self._folder / f"{name}-{attempt}.log", *arguments)
            try:
                wait_started(node.log, node.process)
            except TimeoutError:
                node.kill_node()
                if attempt == _TRIES:
                    self._ray.remove()
                    raise
            else:
                break
        return node

    def _launch(self, log: Path, *arguments: str) -> Service:
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "ray"), "start", "--block", f"--num-cpus={self._cpus}",
                 f"--temp-dir={self._ray.path}",
                 "--object-store-memory=100000000", "--disable-usage-stats", *arguments],
                env=self.environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return Service("", process, log)
