"""``scripts/overload``: what a service can sustain, then ten times as much, then nothing, then as at first.

The engine is ``fake``, which only waits: what is measured is the service. Nine calls in ten wait for their picture, one
submits a task. Probes of their own process ask for health and a task's status twenty times a second.
"""

import argparse
import asyncio
import csv
import json
import multiprocessing
import multiprocessing.synchronize
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import astuple, dataclass
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from drills.ending import end_on_sigterm
from drills.traffic import request_body
from tests.support.pictures import encoded, photo
from tests.support.service import ROOT, Service, running

_UNIT_S = 0.02
_TIMES = 10
_TASK = "probed"
_GOAL_S = 0.2
_PHASES = ("sustained", "overload", "recovered")


@dataclass(frozen=True)
class Call:
    at_s: float
    seconds: float
    status: int
    """0: none came."""
    told_when: bool
    """Whether a refusal had ``Retry-After``."""


class Load:
    """Calls of one phase. The clock of all phases began at ``began``."""

    def __init__(self, url: str, began: float) -> None:
        picture = encoded(photo(320, 240), "JPEG", quality=80)
        body = request_body(picture, [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")
        self._body = json.dumps(body).encode()
        self._api = f"{url}/api/v1"
        self._began = began
        self.calls: list[Call] = []

    async def clients(self, number: int, seconds: float) -> float:
        """So many that each wait for their answer; answers a second."""
        end = time.monotonic() + seconds

        async def one(session: aiohttp.ClientSession) -> None:
            while time.monotonic() < end:
                await self._call(session, "inpaint-regions")

        start = len(self.calls)
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(one(session) for _ in range(number)))
        return sum(call.status == 200 for call in self.calls[start:]) / seconds

    async def rate(self, per_s: float, seconds: float) -> None:
        """So many a second, whatever becomes of those before."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            began = time.monotonic()
            for number in range(round(per_s * seconds)):
                await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
                path = "inpaint-regions-async" if number % 10 == 0 else "inpaint-regions"
                group.create_task(self._call(session, path))

    async def _call(self, session: aiohttp.ClientSession, path: str) -> None:
        start = time.monotonic()
        status, told = 0, False
        headers = {"Content-Type": "application/json"}
        try:
            async with session.post(
                f"{self._api}/{path}", data=self._body, headers=headers, timeout=aiohttp.ClientTimeout(60)
            ) as answer:
                await answer.read()
                status, told = answer.status, "Retry-After" in answer.headers
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            pass
        self.calls.append(Call(start - self._began, time.monotonic() - start, status, told))


def probe(url: str, began: float, stop: multiprocessing.synchronize.Event, path: Path) -> None:
    """Writes ``at_s,seconds,status`` of each of its calls."""

    async def ask(session: aiohttp.ClientSession, what: str, rows: list[tuple[float, float, int]]) -> None:
        while not stop.is_set():
            start = time.monotonic()
            try:
                timeout = aiohttp.ClientTimeout(30)
                async with session.get(f"{url}/api/v1/{what}", timeout=timeout) as answer:
                    await answer.read()
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                status = 0
            rows.append((start - began, time.monotonic() - start, status))
            await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - start)))

    async def both() -> list[tuple[float, float, int]]:
        rows: list[tuple[float, float, int]] = []
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(ask(session, what, rows) for what in ("health", f"task-status/{_TASK}")))
        return rows

    with path.open("w") as file:
        csv.writer(file).writerows(asyncio.run(both()))


def resident_bytes(service: Service) -> int:
    total = 0
    for pid in service.descendants():
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
        except OSError:
            continue
    return total


@dataclass
class Story:
    """What one run saw."""

    sustained: float
    recovered: float
    ends_s: list[float]
    calls: list[Call]
    memory: list[tuple[float, int]]
    same_processes: bool


async def run(service: Service, began: float, seconds: float, clients: int) -> Story:
    load = Load(service.url, began)
    memory: list[tuple[float, int]] = []

    async def watch() -> None:
        while True:
            memory.append((time.monotonic() - began, await asyncio.to_thread(resident_bytes, service)))
            await asyncio.sleep(1.0)

    watching = asyncio.create_task(watch())
    before = sorted(service.named("ray::"))
    ends = []
    sustained = await load.clients(clients, seconds)
    ends.append(time.monotonic() - began)
    await load.rate(_TIMES * sustained, 2 * seconds)
    await _idle(service)
    ends.append(time.monotonic() - began)
    recovered = await load.clients(clients, seconds)
    ends.append(time.monotonic() - began)
    watching.cancel()
    alive = set(before) <= set(service.named("ray::"))
    return Story(sustained, recovered, ends, load.calls, memory, alive)


async def _idle(service: Service) -> None:
    """Until the tasks that were accepted have ended."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{service.url}/api/v1/tasks") as answer:
                if (await answer.json())["active_tasks"] == 0:
                    return
            await asyncio.sleep(0.2)


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else float("nan")


def read_probes(path: Path) -> list[tuple[float, float, int]]:
    with path.open() as file:
        return [(float(at), float(seconds), int(status)) for at, seconds, status in csv.reader(file)]


def report(story: Story, probes: list[tuple[float, float, int]], console: Console) -> bool:
    """Prints the figures; whether every promise was kept."""
    table = Table("", *_PHASES, title=f"Overload: {_TIMES} times {story.sustained:.1f} calls a second")
    starts = [0.0, *story.ends_s]
    shown: list[list[str]] = [[], [], [], []]
    worst = 0.0
    for start, end in zip(starts, story.ends_s, strict=False):
        calls = [call for call in story.calls if start <= call.at_s < end]
        asked = [row for row in probes if start <= row[0] < end]
        statuses = Counter(call.status for call in calls)
        refused = [call.seconds for call in calls if call.status in (429, 503)]
        worst = max(worst, p99([seconds for _, seconds, _ in asked]))
        shown[0].append(", ".join(f"{status}: {number}" for status, number in sorted(statuses.items())))
        shown[1].append(f"{1000 * p99([seconds for _, seconds, _ in asked]):.0f} ms of {len(asked)}")
        shown[2].append(f"{1000 * p99(refused):.0f} ms" if refused else "none")
        shown[3].append(f"{max((b for at, b in story.memory if start <= at < end), default=0) / 2**20:.0f} MiB")
    names = ("answers", "health and status, p99", "refusals, p99", "memory of all processes, most")
    for name, cells in zip(names, shown, strict=True):
        table.add_row(name, *cells)
    console.print(table)
    refusals = [call for call in story.calls if call.status in (429, 503)]
    kept = {
        "every call was answered with a picture, an acceptance, 429 or 503": all(
            call.status in (200, 202, 429, 503) for call in story.calls
        ),
        "there were refusals, and each said when to come again": bool(refusals) and all(c.told_when for c in refusals),
        "every probe was answered with 200": all(status == 200 for _, _, status in probes),
        f"p99 of the probes under {_GOAL_S * 1000:.0f} ms": worst < _GOAL_S,
        "afterwards as fast as before (at least 0.9)": story.recovered >= 0.9 * story.sustained,
        "no process was lost": story.same_processes,
    }
    for promise, held in kept.items():
        console.print(f"{'kept  ' if held else 'BROKEN'} {promise}")
    return all(kept.values())


def main(arguments: list[str] | None = None) -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/overload", description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=15, help="of what is sustained; the overload lasts twice that")
    parser.add_argument("--clients", type=int, default=8, help="that wait for their pictures while it is sustained")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "images" / "overload.png")
    given = parser.parse_args(arguments)
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="overload-") as name:
        folder = Path(name)
        environment = {"IOPAINT_MODEL": "fake", "IOPAINT_MODELS": "fake", "IOPAINT_FAKE_UNIT_S": str(_UNIT_S)}
        with running(folder, **environment, MAX_QUEUED_TASKS="100", LOG_LEVEL="WARNING") as service:
            began = time.monotonic()
            asyncio.run(_first(service))
            stop = multiprocessing.get_context("spawn").Event()
            probing = multiprocessing.get_context("spawn").Process(
                target=probe, args=(service.url, began, stop, folder / "probes.csv")
            )
            probing.start()
            try:
                story = asyncio.run(run(service, began, given.seconds, given.clients))
            finally:
                stop.set()
                probing.join(60)
        for file, rows in (("calls", [astuple(c) for c in story.calls]), ("memory", story.memory)):
            with (folder / f"{file}.csv").open("w") as out:
                csv.writer(out).writerows(rows)
        plot = [given.tools / "python", ROOT / "drills" / "overload_plot.py", folder, given.plot, *story.ends_s]
        subprocess.run([str(part) for part in plot], check=True)
        return 0 if report(story, read_probes(folder / "probes.csv"), console) else 1


async def _first(service: Service) -> None:
    """The task that the probes ask for; the first call of all is not measured."""
    picture = encoded(photo(320, 240))
    body = request_body(picture, [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")
    async with aiohttp.ClientSession() as session:
        url = f"{service.url}/api/v1/inpaint-regions-async"
        async with session.post(url, json=body | {"task_id": _TASK}) as answer:
            answer.raise_for_status()
    await _idle(service)


if __name__ == "__main__":
    sys.exit(main())
