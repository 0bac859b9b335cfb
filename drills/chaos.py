"""``scripts/chaos``: clients at work while processes are killed, then the books; status 1 when they do not balance.

``--kills none`` is the soak test: nothing breaks, and not even one call may have to be made again.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from deployments.archive_store import open_store
from deployments.task_archive import TaskArchive
from drills.books import Books, Expected, close_books
from drills.ending import end_on_sigterm
from drills.kills import KINDS, START_S, Breaker
from drills.receiver import Receiver
from drills.traffic import Client, Story, request_body
from models.geometry import Rect
from models.masks import regions_to_mask
from tests.support.pictures import encoded, photo, wire
from tests.support.s3 import s3_server
from tests.support.service import free_port

_SETTLE_S = 180.0
_REGIONS = [Rect(20 + 150 * (i % 4), 20 + 140 * (i // 4), 60, 20) for i in range(12)]


@dataclass(frozen=True)
class Plan:
    minutes: float
    kills: tuple[str, ...]
    every_s: float
    clients: int
    store: str
    model: str
    seed: int
    tasks_each: int = 1
    """Of every client at least, however little a slow machine does between two kills."""


@dataclass
class Outcome:
    books: Books
    stories: list[Story]
    kills: Counter[str]


async def drill(plan: Plan, folder: Path, console: Console) -> Outcome:
    """Start a service of its own, run the plan, close the books, end the service."""
    pixels = photo(640, 480)
    expected = Expected(pixels, regions_to_mask(_REGIONS, 640, 480) > 0)
    body = request_body(encoded(pixels), [wire(rect) for rect in _REGIONS], plan.model)
    port = free_port()
    with _archive_at(plan.store, folder) as environment:
        breaker = await asyncio.to_thread(Breaker, folder, port, environment, plan.seed)
        try:
            await asyncio.to_thread(breaker.service.wait_healthy, START_S)
            async with Receiver(flaky=bool(plan.kills)) as receiver:
                url = breaker.service.url
                clients = [Client(url, receiver.url, body, plan.seed + n) for n in range(plan.clients)]
                await _run(plan, clients, breaker, console)
                receiver.stay_up()
                stories = [story for client in clients for story in client.stories]
                archive = TaskArchive(open_store(environment["TASK_ARCHIVE_URL"]))
                # The waits between two tries double, so the next one may be as far away as the drill was long.
                patience_s = _SETTLE_S + 72 * plan.minutes
                books = await close_books(url, stories, receiver, archive, expected, patience_s)
                if not plan.kills:
                    books.faults += _not_even_once(books)
                return Outcome(books, stories, breaker.done)
        finally:
            await asyncio.to_thread(breaker.service.stop)


def _not_even_once(books: Books) -> list[str]:
    """What is forgiven while things break, and only then."""
    counted = {"calls not answered": books.unanswered, "WebSockets lost": books.reconnects, "repeats": books.repeats}
    return [f"{count} {what}, though nothing was killed" for what, count in counted.items() if count]


async def _run(plan: Plan, clients: list[Client], breaker: Breaker, console: Console) -> None:
    until = time.monotonic() + 60 * plan.minutes
    work = asyncio.gather(*(client.run(until, plan.tasks_each) for client in clients))
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=console) as bar:
        line = bar.add_task("Drill", total=60 * plan.minutes)
        next_strike = time.monotonic() + plan.every_s
        while (now := time.monotonic()) < until and not work.done():
            bar.update(line, completed=60 * plan.minutes - (until - now))
            if plan.kills and now >= next_strike:
                console.print(f"killed: {await asyncio.to_thread(breaker.strike, plan.kills)}")
                next_strike = time.monotonic() + plan.every_s
            await asyncio.sleep(0.25)
        bar.update(line, completed=60 * plan.minutes)
    console.print("Waiting for the last tasks ...")
    try:
        async with asyncio.timeout(_SETTLE_S):
            await work
    except TimeoutError:
        console.print("[red]Some clients never heard of an end.")


@contextmanager
def _archive_at(store: str, folder: Path) -> Iterator[dict[str, str]]:
    common = {"IOPAINT_MODELS": "cv2,fake", "IOPAINT_FAKE_UNIT_S": "0.02"}
    if store == "directory":
        yield common | {"TASK_ARCHIVE_URL": str(folder / "archive")}
        return
    with s3_server() as environment:
        os.environ.update(environment)  # for the auditor in this process
        yield common | environment | {"TASK_ARCHIVE_URL": "s3://archive/tasks"}


def print_outcome(outcome: Outcome, plan: Plan, console: Console) -> None:
    books = outcome.books
    seconds = sorted(story.seconds for story in outcome.stories if story.ends)
    table = Table("", "", title=f"{plan.minutes:g} minutes, {plan.clients} clients, archive: {plan.store}")
    table.add_row("killed", ", ".join(f"{n} {kind}" for kind, n in sorted(outcome.kills.items())) or "nothing")
    table.add_row("accepted", str(books.accepted))
    table.add_row("ended", ", ".join(f"{n} {kind}" for kind, n in sorted(books.ends.items())))
    table.add_row("results read and compared", str(books.results_read))
    table.add_row("progress updates seen", str(books.updates))
    table.add_row("calls made again", str(books.unanswered))
    table.add_row("WebSockets connected again", str(books.reconnects))
    table.add_row("callbacks taken (of these, repeats)", f"{books.deliveries} ({books.repeats})")
    if seconds:
        table.add_row(
            "seconds from submit to end: median, longest", f"{seconds[len(seconds) // 2]:.1f}, {seconds[-1]:.1f}"
        )
    table.add_row("faults", str(len(books.faults)))
    console.print(table)
    for fault in books.faults[:50]:
        console.print(f"[red]fault[/red] {fault}", highlight=False)


def main(arguments: list[str] | None = None) -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--kills", default=",".join(KINDS), help=f"of {', '.join(KINDS)}; or none")
    parser.add_argument("--every", type=float, default=12.0, help="seconds between two kills")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--store", choices=("directory", "s3"), default="directory")
    parser.add_argument("--model", default="fake")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    kills = () if given.kills == "none" else tuple(given.kills.split(","))
    if unknown := set(kills) - set(KINDS):
        parser.error(f"unknown kill {sorted(unknown)[0]!r}; known are {', '.join(KINDS)} and none")
    plan = Plan(given.minutes, kills, given.every, given.clients, given.store, given.model, given.seed)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        outcome = asyncio.run(drill(plan, Path(folder), console))
        print_outcome(outcome, plan, console)
    return 1 if outcome.books.faults or not outcome.books.accepted else 0


if __name__ == "__main__":
    sys.exit(main())
