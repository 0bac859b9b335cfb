"""A real service: ``scripts/serve`` as a process of its own, on a free port."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from ingress.settings import Settings
from models.catalog import WEIGHTS_VARIABLES

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """Below the ports that the kernel gives to clients: one that connects in vain could otherwise meet itself."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
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

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(120)

    def kill_node(self) -> None:
        """Everything at once, as when a machine loses its power."""
        family = [self.process.pid, *self.descendants()]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        while any(_alive(pid) for pid in family):
            time.sleep(0.05)

    def named(self, title: str) -> list[int]:
        """The processes of the service whose title (Ray names its workers) begins so."""
        found = []
        for pid in self.descendants():
            with suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(title.encode()):
                    found.append(pid)
        return found

    def wait_healthy(self, patience_s: float = 200) -> None:
        end = time.monotonic() + patience_s
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.health()["status"] == "healthy":
                    return
            except (requests.RequestException, ValueError, KeyError):
                pass
            time.sleep(0.5)
        raise AssertionError(f"The service did not become healthy:\n{self.log.read_text()[-4000:]}")


def neutral() -> dict[str, str]:
    """This process's environment without what would make a service another one than is asked for, or have it join
    somebody's cluster, which it would end with itself."""
    ours = {name.upper() for name in Settings.model_fields}.union(WEIGHTS_VARIABLES)
    # In any case: so the settings are read.
    return {k: v for k, v in os.environ.items() if k.upper() not in ours and not k.startswith("RAY_")}


def start(folder: Path, environment: dict[str, str], port: int = 0, config: Path | None = None) -> Service:
    """The process only; see ``Service.wait_healthy``. ``config`` stands in for the shipped one."""
    port = port or free_port()
    log = folder / "service.log"
    settings = {
        "IOPAINT_HOST": "127.0.0.1",
        "IOPAINT_PORT": str(port),
        "IOPAINT_MODEL": "cv2",
        "TASK_ARCHIVE_URL": str(folder / "archive"),
        "CALLBACK_ALLOWED_HOSTS": "127.0.0.1",
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.1",
    }
    with log.open("ab") as out:
        process = subprocess.Popen(
            # As in the background of a script: with SIGINT ignored, by which Serve is ended in order all the same.
            [
                "bash",
                "-c",
                'trap "" INT; exec "$0" "$@"',
                str(ROOT / "scripts" / "serve"),
                *([str(config)] if config else []),
            ],
            env=neutral() | settings | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Service(f"http://127.0.0.1:{port}", process, log)


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Service]:
    """Healthy when entered; when left, ended the fast way: an end in order takes ten seconds."""
    service = start(folder, environment)
    try:
        service.wait_healthy()
        yield service
    finally:
        if service.process.poll() is None:
            service.kill_node()


def assert_ends_in_order(service: Service, number: signal.Signals) -> None:
    """By that signal, with nothing left behind."""
    children = service.descendants()
    assert len(children) > 5
    assert service.stop(number) == 0
    end = time.monotonic() + 10
    while left := [pid for pid in children if _alive(pid)]:
        assert time.monotonic() < end, f"processes were left behind: {left}"
        time.sleep(0.1)


def _alive(pid: int) -> bool:
    """Not counting what only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
