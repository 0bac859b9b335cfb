"""The books after a drill: what was accepted, what came of it, and every difference between what was told to whom."""

import asyncio
import io
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deployments.task_archive import TaskArchive
from drills.receiver import Receiver
from drills.traffic import Story


@dataclass
class Books:
    """Balanced when ``faults`` is empty."""

    accepted: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    results_read: int = 0
    deliveries: int = 0
    repeats: int = 0
    reconnects: int = 0
    unanswered: int = 0
    """Calls that broke off or were answered with 5xx, and were made again."""
    updates: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Expected:
    """What a right result looks like: the picture that was sent, equal wherever ``mask`` is False."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    def fault(self, picture: bytes) -> str:
        """Empty when the picture is right."""
        out = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
        if out.shape != self.pixels.shape:
            return f"the result is {out.shape}"
        return "" if np.array_equal(out[~self.mask], self.pixels[~self.mask]) else "pixels outside the mask changed"


async def close_books(
    url: str, stories: list[Story], receiver: Receiver, archive: TaskArchive, expected: Expected, patience_s: float
) -> Books:
    """Compare four tellings of every task: the API's, the WebSockets', the callbacks' and the archive's."""
    books = Books()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for story in stories:
            books.faults += [f"{story.task_id}: {fault}" for fault in story.faults]
            if story.accepted_at:
                await _account(books, session, f"{url}/api/v1", story, expected)
    await _callbacks(books, [s for s in stories if s.accepted_at], receiver, archive, patience_s)
    await _archive(books, archive, {s.task_id for s in stories if s.accepted_at}, patience_s)
    return books


async def _account(books: Books, session: aiohttp.ClientSession, api: str, story: Story, expected: Expected) -> None:
    books.accepted += 1
    books.reconnects += story.connections - 1
    books.updates += story.updates
    books.unanswered += story.unanswered
    async with session.get(f"{api}/task-status/{story.task_id}") as response:
        status = (await response.json()).get("status", f"lost ({response.status})")
    books.ends[status] += 1
    if status not in ("completed", "error", "cancelled"):
        books.faults.append(f"{story.task_id}: is {status} after the drill")
    if set(story.ends) != {status}:
        books.faults.append(f"{story.task_id}: is {status}, its watchers were told {story.ends}")
    if status == "completed":
        async with session.get(f"{api}/task-result/{story.task_id}") as response:
            fault = expected.fault(await response.read()) if response.status == 200 else f"answer {response.status}"
        books.results_read += 1
        if fault:
            books.faults.append(f"{story.task_id}: {fault}")


async def _callbacks(
    books: Books, stories: list[Story], receiver: Receiver, archive: TaskArchive, patience_s: float
) -> None:
    """Every end told at least once, and always the same."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end and any(s.task_id not in receiver.taken for s in stories):  # noqa: ASYNC110 (others')
        await asyncio.sleep(0.5)
    for story in stories:
        taken = receiver.taken.get(story.task_id, [])
        books.deliveries += len(taken)
        books.repeats += max(0, len(taken) - 1)
        if len(set(taken)) != 1 or taken[0].status not in story.ends:
            tries = await archive.deliveries(f"tasks/{story.task_id}")
            books.faults.append(
                f"{story.task_id}: ended as {story.ends}, its receiver was told {taken}; tries: {tries}"
            )


async def _archive(books: Books, archive: TaskArchive, accepted: set[str], patience_s: float) -> None:
    """One end each, and nothing left to do."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end and (await archive.todo("tasks") or await archive.todo("callbacks")):  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    for kind in ("tasks", "callbacks"):
        left = await archive.todo("tasks" if kind == "tasks" else "callbacks")
        books.faults += [f"{name}: still marked as unfinished ({kind})" for name in left if name in accepted]
    found: Counter[str] = Counter()
    async for file in archive.files("tasks"):
        if file.path.endswith("/end.json"):
            found[file.path.split("/")[1]] += 1
    books.faults += [f"{name}: no end in the archive" for name in accepted - set(found)]
