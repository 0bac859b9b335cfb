"""A real service: ``scripts/serve`` as a process of its own, on a free port."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Service:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def ws(self) -> str:
        return "ws" + self.url.removeprefix("http")

    def health(self) -> dict[str, object]:
        answer: dict[str, object] = requests.get(f"{self.url}/api/v1/health", timeout=10).json()
        return answer

    def descendants(self) -> set[int]:
        """Process ids below this one, by the parent links that the kernel keeps."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    stat = (entry / "stat").read_text()
                except OSError:
                    continue
                parents[int(entry.name)] = int(stat.rsplit(")", 1)[1].split()[1])
        found, wave = set[int](), {self.process.pid}
        while wave:
            wave = {pid for pid, parent in parents.items() if parent in wave} - found
            found |= wave
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Service]:
    """Healthy when entered; ended with SIGTERM when left."""
    port = free_port()
    log = folder / "service.log"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("IOPAINT_", "MAX_", "TASK_"))}
    settings = {
        "IOPAINT_HOST": "127.0.0.1",
        "IOPAINT_PORT": str(port),
        "IOPAINT_MODEL": "cv2",
        "TASK_ARCHIVE_URL": str(folder / "archive"),
        "CALLBACK_ALLOWED_HOSTS": "127.0.0.1",
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.1",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(ROOT / "scripts" / "serve")],
            env=inherited | settings | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_healthy(service)
        yield service
    finally:
        if process.poll() is None:
            service.stop()


def _wait_healthy(service: Service) -> None:
    for _ in range(240):
        if service.process.poll() is not None:
            break
        try:
            if service.health()["status"] == "healthy":
                return
        except (requests.RequestException, ValueError, KeyError):
            pass
        time.sleep(0.5)
    raise AssertionError(f"The service did not become healthy:\n{service.log.read_text()[-4000:]}")
