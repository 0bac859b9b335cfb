"""Deliveries of ends: at least once, over hours if need be, remembered in the archive across restarts."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from deployments.errors import NothingToDeliver
from deployments.metrics import Metrics, NoMetrics
from deployments.owners import OwnerBook
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskArchive, TaskRecord, Todo
from deployments.task_life import Background
from deployments.tasks import Delivery
from deployments.webhooks import Body, Sender, task_body

log = logging.getLogger("ray.serve")

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 900.0
_AT_ONCE = 32
_AT_ONCE_PER_HOST = 8
"""Fewer than in all: a receiver that takes no answer for its thirty seconds holds up its own callbacks only."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told to whom. ``kind`` and ``name`` are its marker in the archive, ``subject`` its folder."""

    kind: Todo
    name: str
    subject: str
    url: str
    body: Callable[[], Awaitable[Body]]


class Callbacks:
    """``max_tries``: with the waits doubling from one second up to a quarter of an hour, 24 are about four hours."""

    def __init__(
        self, archive: TaskArchive, owners: OwnerBook, owner: str, sender: Sender, background: Background,
        max_tries: int = 24, first_wait_s: float = _FIRST_WAIT_S, metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self._archive = archive
        self._owners = owners
        self._owner = owner
        self._sender = sender
        self._background = background
        self._max_tries = max_tries
        self._first_wait_s = first_wait_s
        self._metrics = metrics or NoMetrics()
        self._active: dict[str, asyncio.Event] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._host_gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def task_ended(self, record: TaskRecord, end: TaskEnd) -> None:
        url = record.submission.callback_url
        if url:
            self.start(self._of_task(end, url))

    def start(self, message: Message, *, again: bool = False) -> None:
        """Deliver in the background. ``again``: at once, and whatever was taken before."""
        waiting = self._active.get(message.subject)
        if waiting is not None:
            if again:
                waiting.set()
            return
        self._active[message.subject] = asyncio.Event()
        self._background.spawn(self._run(message, again))

    async def sync(self) -> None:
        """What a crash left undelivered, ours or of trackers that are silent."""
        for task_id in await self._archive.todo("callbacks"):
            if f"tasks/{task_id}" in self._active:
                continue
            end, record = await self._archive.end(task_id), await self._archive.record(task_id)
            if end is None or record is None:
                await self._archive.done("callbacks", task_id)  # deleted meanwhile
            elif end.owner == self._owner or self._owners.is_silent(end.owner):
                self.task_ended(record, end)

    async def log(self, record: TaskRecord) -> list[Delivery]:
        return await self._archive.deliveries(f"tasks/{record.submission.task_id}")

    async def again(self, record: TaskRecord) -> None:
        """Send once more, on request."""
        url, task_id = record.submission.callback_url, record.submission.task_id
        if not url:
            raise NothingToDeliver(f"Task {task_id} was submitted without a callback_url.")
        end = await self._archive.end(task_id)
        if end is None:
            raise NothingToDeliver(f"Task {task_id} has not ended: there is nothing to deliver yet.")
        await self._archive.add_todo("callbacks", task_id)
        self.start(self._of_task(end, url), again=True)

    def _of_task(self, end: TaskEnd, url: str) -> Message:
        return Message("callbacks", end.task_id, f"tasks/{end.task_id}", url, lambda: task_body(self._archive, end))

    async def _run(self, message: Message, again: bool) -> None:
        try:
            done = await self._archive.deliveries(message.subject)
            number = len(done) + 1
            if done and not again and done[-1].next_at is not None:
                await self._wait(message, done[-1].next_at - time.time())
            if again or not done or done[-1].next_at is not None:
                await self._try(message, number, number - 1 if again else 0)
            await self._archive.done(message.kind, message.name)
        finally:
            del self._active[message.subject]

    async def _try(self, message: Message, number: int, before: int) -> None:
        """From delivery ``number`` on; ``before`` of them belong to an earlier round."""
        while True:
            async with self._gate_of(message.url), self._gate:
                taken, answer = await self._sender(message.url, f"msg_{message.name}", await message.body())
            tries = number - before
            wait_s = min(_LONGEST_WAIT_S, self._first_wait_s * 2.0 ** (tries - 1)) * random.uniform(0.8, 1.2)
            now = time.time()
            next_at = None if taken or tries >= self._max_tries else now + wait_s
            outcome = "taken" if taken else "not_taken" if next_at else "given_up"
            self._metrics.count("iopaint_callbacks", outcome=outcome)
            await self._archive.add_delivery(message.subject, Delivery(number, now, taken, answer, next_at))
            if next_at is None:
                if not taken:
                    log.error("callback given up", extra={"about": message.subject, "why": answer, "tries": tries})
                return
            log.warning("callback not taken", extra={"about": message.subject, "why": answer, "again_in_s": wait_s})
            await self._wait(message, wait_s)
            number += 1

    def _gate_of(self, url: str) -> asyncio.Semaphore:
        """Kept only while somebody holds it or waits for it."""
        return self._host_gates.setdefault(urlsplit(url).netloc, asyncio.Semaphore(_AT_ONCE_PER_HOST))

    async def _wait(self, message: Message, wait_s: float) -> None:
        wake = self._active[message.subject]
        wake.clear()
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await wake.wait()
        except TimeoutError:
            return
