"""``scripts/scale``: how fast the tracker answers and tells with many tasks and many watchers.

10,000 ended tasks in the archive, 1,000 waiting, 50 at work with an update a second each, 500 WebSockets over these.
The replicas only wait (the ``fake`` engine), so what is measured is the service around them.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deployments.archive_store import open_store
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskArchive, TaskRecord
from deployments.tasks import TaskStatus, TaskSubmission
from drills.ending import end_on_sigterm
from drills.kills import PROCESSES
from drills.traffic import request_body
from tests.support.pictures import encoded, photo
from tests.support.service import ROOT, Service, start

_SLOTS = 4
_UNIT_S = 1.0 / _SLOTS
"""Four tasks take turns on a replica, so that each has an update a second."""


@dataclass(frozen=True)
class Size:
    ended: int
    queued: int
    running: int
    watchers: int
    seconds: float


@dataclass
class Measured:
    joining_s: list[float] = field(default_factory=list)
    """Status answers while the watchers connect, all at once."""
    status_s: list[float] = field(default_factory=list)
    update_s: list[float] = field(default_factory=list)
    submit_s: list[float] = field(default_factory=list)
    tracker_mb: list[float] = field(default_factory=list)
    cores: dict[str, float] = field(default_factory=dict)
    """Of each kind of process, all of that kind together: how many cores it kept busy."""


async def fill(archive: TaskArchive, count: int, console: Console) -> list[str]:
    """Tasks that ended an hour ago, as the service itself would have written them."""
    names = [f"ended-{number:06d}" for number in range(count)]
    gate = asyncio.Semaphore(64)
    then = time.time() - 3600
    with Progress(console=console) as bar:
        line = bar.add_task("Ended tasks", total=count)

        async def one(name: str) -> None:
            async with gate:
                submission = TaskSubmission(name, 1, "0" * 64, client="past")
                await archive.create_record(TaskRecord(submission, then, "past"))
                await archive.create_end(TaskEnd(name, TaskStatus.CANCELLED, 1, then))
                await archive.done("tasks", name)
                bar.advance(line)

        await asyncio.gather(*(one(name) for name in names))
    return names


def config_for(folder: Path, replicas: int) -> Path:
    """The shipped configuration with a fixed number of replicas."""
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    for deployment in config["applications"][0]["deployments"]:
        if deployment["name"] == "Inpainter":
            deployment["autoscaling_config"] = {"min_replicas": replicas, "max_replicas": replicas}
            deployment["ray_actor_options"] = {"num_cpus": 0.01}  # they only wait
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _task(number: int, windows: int) -> dict[str, Any]:
    picture = encoded(photo(1200, 1200), "JPEG", quality=10)
    regions = [
        {"x": 10.0 + 110 * (i % 10), "y": 10.0 + 110 * (i // 10), "width": 4.0, "height": 4.0} for i in range(windows)
    ]
    return request_body(picture, regions, "fake") | {
        "task_id": f"new-{number}", "enable_progress": True, "hd_strategy": "Crop",
        "hd_strategy_crop_trigger_size": 64, "hd_strategy_crop_margin": 8,
    }  # fmt: skip


class Load:
    """``until`` is when everybody stops. Figures are taken from ``settled`` on: when all watchers are connected."""

    def __init__(self, service: Service, size: Size, ended: list[str]) -> None:
        self._api = f"{service.url}/api/v1"
        self._service = service
        self._size = size
        self._ended = ended
        self.measured = Measured()
        self.settled = asyncio.Event()
        self._connected = 0

    async def submit(self, session: aiohttp.ClientSession, console: Console) -> None:
        long, short = _task(0, 100), _task(0, 1)
        gate = asyncio.Semaphore(8)
        total = self._size.running + self._size.queued
        with Progress(console=console) as bar:
            line = bar.add_task("Submitting", total=total)

            async def one(number: int) -> None:
                body = (long if number < self._size.running else short) | {"task_id": f"new-{number}"}
                async with gate:
                    began = time.monotonic()
                    async with session.post(f"{self._api}/inpaint-regions-async", json=body) as response:
                        assert response.status == 202, await response.text()
                    self.measured.submit_s.append(time.monotonic() - began)
                    bar.advance(line)

            # The long ones first, so that they are those at work.
            await asyncio.gather(*(one(number) for number in range(self._size.running)))
            await asyncio.gather(*(one(number) for number in range(self._size.running, total)))

    async def watch(self, session: aiohttp.ClientSession, number: int, until: float) -> None:
        url = f"{self._api}/ws/progress/new-{number % self._size.running}"
        seen = ""
        async with session.ws_connect(url) as socket:
            while (left := until - time.monotonic()) > 0:
                try:
                    frame = await socket.receive(timeout=left)
                except TimeoutError:
                    return
                # A task that ends before the time is over would leave its watchers without news: the figures need it.
                assert frame.type is aiohttp.WSMsgType.TEXT, f"the watcher of task {number} was closed early"
                message = json.loads(frame.data)
                news = message.get("updated_at", "")
                # The first is the state on connecting; the same state again is only sent for its fresh times.
                if seen and news != seen and self.settled.is_set():
                    self.measured.update_s.append(time.time() - datetime.fromisoformat(news).timestamp())
                if not seen and news:
                    self._connected += 1
                    if self._connected == self._size.watchers:
                        self.settled.set()
                seen = news or seen

    async def ask(self, session: aiohttp.ClientSession, until: float) -> None:
        chooser = random.Random(0)
        new = [f"new-{number}" for number in range(self._size.running + self._size.queued)]
        while time.monotonic() < until:
            name = chooser.choice(chooser.choice((self._ended, new)))
            began = time.monotonic()
            async with session.get(f"{self._api}/task-status/{name}") as response:
                assert response.status == 200, await response.text()
                await response.read()
            figures = self.measured.status_s if self.settled.is_set() else self.measured.joining_s
            figures.append(time.monotonic() - began)
            await asyncio.sleep(0.05)

    async def memory(self, pid: int, until: float) -> None:
        while time.monotonic() < until:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            self.measured.tracker_mb.append(pages * 4096 / 1e6)
            await asyncio.sleep(1)


async def measure(service: Service, tracker: int, size: Size, ended: list[str], console: Console) -> Measured:
    load = Load(service, size, ended)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        await load.submit(session, console)
        await asyncio.sleep(5)
        until = time.monotonic() + size.seconds
        console.print(f"Measuring for {size.seconds:g} s ...")
        watchers = [load.watch(session, number, until) for number in range(size.watchers)]
        before = _busy_s(service)
        await asyncio.gather(load.ask(session, until), load.memory(tracker, until), *watchers)
        after = _busy_s(service)
    load.measured.cores = {kind: (after[kind] - before[kind]) / size.seconds for kind in before}
    return load.measured


def _busy_s(service: Service) -> dict[str, float]:
    """Seconds of processor time so far."""
    pids = {kind: service.named(title) for kind, title in PROCESSES.items()} | {"client": [os.getpid()]}
    return {kind: sum(map(_processor_s, found)) for kind, found in pids.items()}


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_measured(measured: Measured, size: Size, console: Console) -> None:
    title = (
        f"{size.ended:,} ended, {size.queued:,} waiting, {size.running} at work, {size.watchers} watchers, "
        f"{size.seconds:g} s"
    )
    table = Table("", "count", "median", "p99", "longest", title=title)
    for name, values in (
        ("status answers while the watchers connect, ms", measured.joining_s),
        ("status answers, ms", measured.status_s),
        ("updates at the watchers, ms after the unit ended", measured.update_s),
        ("submits, ms (8 at once)", measured.submit_s),
    ):
        cuts = statistics.quantiles(values, n=100)
        figures = [f"{1000 * value:.0f}" for value in (cuts[49], cuts[98], max(values))]
        table.add_row(name, f"{len(values):,}", *figures)
    first, last = measured.tracker_mb[0], measured.tracker_mb[-1]
    table.add_row("tracker's resident memory, MB", "", f"{first:.0f} at first", f"{last:.0f} at last", "")
    console.print(table)
    shares = ", ".join(f"{kind} {100 * cores:.0f} %" for kind, cores in measured.cores.items())
    console.print(f"Of one core: {shares}")


def main() -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/scale", description=__doc__)
    parser.add_argument("--ended", type=int, default=10_000)
    parser.add_argument("--queued", type=int, default=1000)
    parser.add_argument("--running", type=int, default=50)
    parser.add_argument("--watchers", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    size = Size(given.ended, given.queued, given.running, given.watchers, given.seconds)
    replicas = -(-size.running // _SLOTS)
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        ended = asyncio.run(fill(TaskArchive(open_store(str(folder / "archive"))), size.ended, console))
        environment = {
            "IOPAINT_MODELS": "cv2,fake", "IOPAINT_FAKE_UNIT_S": str(_UNIT_S),
            "MAX_QUEUED_TASKS": str(size.running + size.queued), "MAX_WEBSOCKETS_PER_CLIENT": str(size.watchers + 10),
        }  # fmt: skip
        service = start(folder, environment, config=config_for(folder, replicas))
        try:
            service.wait_healthy(300)
            _wait_for_replicas(service, replicas, console)
            (tracker,) = service.named(PROCESSES["tracker"])
            measured = asyncio.run(measure(service, tracker, size, ended, console))
            print_measured(measured, size, console)
        finally:
            service.kill_node()  # what is at work would be waited for
    return 0


def _wait_for_replicas(service: Service, wanted: int, console: Console) -> None:
    with console.status(f"Waiting for {wanted} replicas ..."):
        end = time.monotonic() + 300
        while time.monotonic() < end:
            diagnostics: Any = service.health()["diagnostics"]
            if len(diagnostics["replicas"]) >= wanted:
                return
            time.sleep(1)
    raise TimeoutError("The replicas did not start.")


if __name__ == "__main__":
    sys.exit(main())
