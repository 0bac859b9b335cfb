"""Every task's way from the archive into the table and to its one end. All transitions to an end happen here."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from deployments.errors import TaskNotFound
from deployments.metrics import Metrics, NoMetrics
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskArchive, TaskRecord
from deployments.task_table import TaskEntry, TaskTable
from deployments.tasks import TaskStatus
from models.errors import TextRemovalError

log = logging.getLogger("ray.serve")

_AT_ONCE = 32
"""Reads of the archive at the same time."""


class Background:
    """Work that outlives the call that began it."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str | None = None) -> asyncio.Task[None]:
        # An empty context: Ray cancels what was started within a request's context together with the request.
        task = asyncio.get_running_loop().create_task(work, name=name, context=contextvars.Context())
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def repeat(self, step: Callable[[], Coroutine[Any, Any, None]], every_s: float) -> None:
        """A step again and again, each a task of its own: one that fails is logged, and is not the last."""

        async def loop() -> None:
            while True:
                await asyncio.wait({self.spawn(step(), step.__qualname__)})
                await asyncio.sleep(every_s)

        self.spawn(loop())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, TextRemovalError):
            log.warning("background work put off", extra={"step": task.get_name(), "why": error.message})
        elif error is not None:
            log.error("background work failed", exc_info=error)


class TaskLife:
    """``on_end(record, end)`` is called once for every end that this tracker publishes."""

    def __init__(
        self, archive: TaskArchive, table: TaskTable, owner: str, background: Background,
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        self.archive = archive
        self.table = table
        self.owner = owner
        self.background = background
        self.metrics = metrics or NoMetrics()
        self.on_end: Callable[[TaskRecord, TaskEnd], None] = lambda record, end: None
        self._ending: dict[str, asyncio.Lock] = {}

    # -- from the archive --------------------------------------------------------------------------------------------

    async def find(self, task_id: str) -> TaskEntry | None:
        entry = self.table.get(task_id)
        if entry is None:
            return await self.load(task_id)
        if entry.owner != self.owner:
            await self.refresh(entry)
        return self.table.get(task_id)

    async def require(self, task_id: str) -> TaskEntry:
        entry = await self.find(task_id)
        if entry is None:
            raise TaskNotFound(f"There is no task {task_id}. It may have been deleted when its retention ended.")
        return entry

    async def load(self, task_id: str, *, news: bool = False) -> TaskEntry | None:
        """A task into the table, ended or not. ``news``: watchers are told, even when it has ended."""
        record = await self.archive.record(task_id)
        if record is None:
            return None
        end = await self.archive.end(task_id)
        claim = await self.archive.last_claim(task_id) if end is None else None
        entry = self.table.get(task_id)
        if entry is not None:  # another call loaded it meanwhile
            return entry
        entry = self.table.add(record, record.owner)
        if claim is not None:
            entry.attempt, entry.deaths, entry.owner = claim.number, claim.deaths, claim.owner
        if end is not None:
            entry.owner = end.owner or entry.owner
            self.table.finish(entry, end, news=news)
        return entry

    async def load_all(self, task_ids: Iterable[str], *, news: bool = False) -> list[TaskEntry]:
        """Many, some at a time; ids without a record are left out."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(task_id: str) -> TaskEntry | None:
            async with gate:
                return self.table.get(task_id) or await self.load(task_id, news=news)

        found = await asyncio.gather(*(one(task_id) for task_id in task_ids))
        return [entry for entry in found if entry is not None]

    async def refresh(self, entry: TaskEntry) -> None:
        """A task of another tracker: it may have ended, or been forgotten."""
        if not entry.snapshot.status.is_terminal:
            end = await self.archive.end(entry.task_id)
            if end is not None and not entry.snapshot.status.is_terminal:
                self.table.finish(entry, end)
        elif await self.archive.record(entry.task_id) is None:
            self.table.forget(entry.task_id)

    # -- to the end --------------------------------------------------------------------------------------------------

    def end_of(self, entry: TaskEntry, status: TaskStatus, code: str | None = None, why: str | None = None) -> TaskEnd:
        """An end that the tracker itself decides on, with what was done so far."""
        return TaskEnd(
            task_id=entry.task_id,
            status=status,
            attempt=entry.attempt,
            completed_at=time.time(),
            started_at=entry.snapshot.started_at,
            error_code=code,
            error_message=why,
            units_done=entry.progress.units_done,
            units_total=entry.progress.units_total,
            regions_done=entry.progress.regions_done,
        )

    async def end(self, entry: TaskEntry, end: TaskEnd) -> None:
        """Record, then event, then callback, in that order. The first end written stands."""
        async with self._ending.setdefault(entry.task_id, asyncio.Lock()):
            if entry.snapshot.status.is_terminal:
                return
            end = replace(end, owner=self.owner)
            ours = await self.archive.create_end(end)
            if not ours:
                # The same as ours: the write was repeated, because its answer got lost.
                written = await self.archive.end(entry.task_id) or end
                end, ours = written, written == end
            self.table.finish(entry, end)
        self._ending.pop(entry.task_id, None)
        log.info("task ended", extra={"task_id": end.task_id, "status": end.status.value, "attempt": end.attempt})
        if ours:
            self._measure(entry.record, end)
            self.background.spawn(self.after_end(entry.record, end))

    def _measure(self, record: TaskRecord, end: TaskEnd) -> None:
        status = end.status.value
        self.metrics.count("iopaint_tasks_ended", status=status, code=end.error_code or "")
        self.metrics.observe("iopaint_task_seconds", max(0.0, end.completed_at - record.created_at), status=status)
        if end.started_at is not None:
            self.metrics.observe("iopaint_task_wait_seconds", max(0.0, end.started_at - record.created_at))

    async def being_ended(self, task_id: str) -> None:
        """Wait for an end that is being written right now: it goes first."""
        lock = self._ending.get(task_id)
        if lock is not None:
            async with lock:
                pass

    async def after_end(self, record: TaskRecord, end: TaskEnd) -> None:
        """Owed after an end was published; done again by whoever finds it undone, in any order, any number of times."""
        if record.submission.callback_url:
            await self.archive.add_todo("callbacks", end.task_id)
        self.on_end(record, end)
        await self.archive.delete_input(end.task_id, record.submission.input_name)
        await self.archive.done("tasks", end.task_id)
