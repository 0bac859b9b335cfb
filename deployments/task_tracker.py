"""The plain class that runs as the one named actor: accepts tasks, dispatches them, follows them to their end.

The actor is the hot state; the archive is the truth that it is rebuilt from. What a crash loses is only what can be
asked again: progress within a unit, and the place in the queue (rebuilt in the order of acceptance). The end of a task
is the replica's ``finish``; the reply of the dispatched call is only a hint that the replica died.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from deployments.config import TrackerConfig
from deployments.errors import QueueFull, TaskConflict, TaskFinished, TaskNotFound
from deployments.fleet import Fleet
from deployments.progress import UnitProgress
from deployments.protocol import AttemptReport, ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive, TaskRecord
from deployments.task_table import TaskEntry, TaskTable
from deployments.tasks import ServiceState, TaskCounts, TaskSnapshot, TaskStatus, TaskSubmission

log = logging.getLogger("ray.serve")


class Dispatch(Protocol):
    """Sends one attempt to a replica; returns when the replica's call returned, raises when it died."""

    def __call__(self, order: TaskOrder) -> Awaitable[None]: ...


Deliver = Callable[[TaskRecord, TaskEnd], Awaitable[None]]


class TaskTracker:
    """See the module. ``dispatch`` and ``deliver`` are injected, so that tests run the class without Ray."""

    def __init__(self, config: TrackerConfig, archive: TaskArchive, dispatch: Dispatch, deliver: Deliver) -> None:
        self._config = config
        self._archive = archive
        self._dispatch = dispatch
        self._deliver = deliver
        self._table = TaskTable(config.max_queued)
        self._fleet = Fleet(config.lease_s)
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._queue_changed = asyncio.Event()
        self._ready: asyncio.Task[None] | None = None
        self._finishing: dict[str, asyncio.Lock] = {}

    # -- for ingress -------------------------------------------------------------------------------------------------

    async def submit(self, submission: TaskSubmission) -> tuple[TaskSnapshot, bool]:
        """Accept a task whose input is in the archive. Idempotent: the same id and content returns the task."""
        await self._started()
        known = await self._find(submission.task_id)
        if known is None:
            if self._table.queue_full:
                raise QueueFull(
                    f"The queue is full ({self._config.max_queued} tasks wait). Try again later.",
                    retry_after_s=self._retry_after_s(),
                )
            record = TaskRecord(submission, time.time(), self._config.actor_name)
            if await self._archive.create_record(record):
                entry = self._table.get(submission.task_id) or self._table.add(record)
                self._enqueue(entry)
                return self._table.snapshot(entry), True
            known = await self._find(submission.task_id)
        if known is None or known.record.submission.content_sha256 != submission.content_sha256:
            raise TaskConflict(
                f"task_id {submission.task_id} is in use for other content. Choose another, or leave it out."
            )
        return self._table.snapshot(known), False

    async def snapshot(self, task_id: str) -> TaskSnapshot:
        await self._started()
        return self._table.snapshot(await self._require(task_id))

    async def cancel(self, task_id: str) -> TaskSnapshot:
        """Final at once; the replica stops within one unit."""
        await self._started()
        entry = await self._require(task_id)
        snap = entry.snapshot
        if not snap.status.is_terminal:
            await self._end(entry, self._end_of(entry, TaskStatus.CANCELLED))
            call = self._calls.get(task_id)
            if call is not None:
                call.cancel()
        snap = entry.snapshot
        if snap.status is not TaskStatus.CANCELLED:
            ended = "completed" if snap.status is TaskStatus.COMPLETED else "ended in error"
            raise TaskFinished(f"Task {task_id} has already {ended}; it cannot be cancelled.", status=snap.status.value)
        return snap

    async def counts(self) -> TaskCounts:
        await self._started()
        return self._table.counts(self._slots())

    async def state(self) -> ServiceState:
        await self._started()
        return self._fleet.state(self._table.counts(self._slots()))

    async def changes(self, after_version: int, timeout_s: float) -> tuple[int, list[TaskSnapshot]]:
        """Long poll: every task changed after ``after_version``, newest state only; -1 asks where versions are now."""
        await self._started()
        if after_version < 0:
            return self._table.version, []
        found = await self._table.wait_after(after_version, timeout_s)
        return (found[-1].version if found else after_version), found

    # -- for replicas ------------------------------------------------------------------------------------------------

    async def report(self, report: ReplicaReport) -> dict[str, Verdict]:
        """A replica's heartbeat, with the progress of its attempts; the answer says which of them should stop."""
        await self._started()
        self._fleet.heard(report)
        self._queue_changed.set()
        return {attempt.order.task_id: self._advance(attempt) for attempt in report.attempts}

    async def begin(self, order: TaskOrder) -> Verdict:
        """Asked by a replica before it starts, since a call may have waited long in its queue."""
        await self._started()
        return self._advance(AttemptReport(order, UnitProgress()))

    async def finish(self, end: TaskEnd) -> None:
        """An attempt ended; its result is in the archive already. Stale attempts are ignored."""
        await self._started()
        entry = self._table.get(end.task_id)
        if entry is not None and entry.attempt == end.attempt and not entry.snapshot.status.is_terminal:
            await self._end(entry, end)

    async def forget_replica(self, replica_id: str) -> None:
        """A replica says goodbye."""
        self._fleet.gone(replica_id)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _advance(self, report: AttemptReport) -> Verdict:
        entry = self._table.get(report.order.task_id)
        if entry is None or entry.snapshot.status.is_terminal or entry.attempt != report.order.attempt:
            return Verdict.STOP
        # An attempt that reports after this actor was rebuilt is adopted; its lease begins now.
        entry.running = True
        self._table.advance(entry, report.progress)
        return Verdict.CONTINUE

    async def _started(self) -> None:
        if self._ready is None:
            self._ready = self._spawn(self._start())
        await asyncio.shield(self._ready)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # An empty context: Ray cancels what was started within a request's context together with the request.
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _start(self) -> None:
        waiting = []
        for task_id in await self._archive.task_ids():
            entry = await self._load(task_id)
            if entry is not None and not entry.snapshot.status.is_terminal:
                waiting.append(entry)
        self._spawn(self._dispatch_loop())
        self._spawn(self._watch_loop())
        if waiting:
            log.info("tasks found unfinished in the archive", extra={"count": len(waiting)})
            self._spawn(self._resume(waiting))

    async def _resume(self, waiting: list[TaskEntry]) -> None:
        """Attempts still running report within a few heartbeats and are adopted; the rest is queued again."""
        await asyncio.sleep(min(6.0, self._config.lease_s))
        for entry in sorted(waiting, key=lambda e: e.record.created_at):
            if not entry.running and not entry.snapshot.status.is_terminal:
                self._enqueue(entry)

    async def _load(self, task_id: str) -> TaskEntry | None:
        """A task from the archive into the table, ended or not."""
        record = await self._archive.record(task_id)
        if record is None:
            return None
        end = await self._archive.end(task_id)
        attempt, _ = await self._archive.last_claim(task_id)
        entry = self._table.get(task_id)
        if entry is not None:  # another call loaded it meanwhile
            return entry
        entry = self._table.add(record)
        entry.attempt = attempt
        # The attempt that a restart of the whole service interrupted is not held against the task.
        entry.deaths = max(0, attempt - 1)
        if end is not None:
            self._table.finish(entry, end)
            if record.submission.callback_url and not await self._archive.delivered(task_id):
                self._spawn(self._after_end(record, end))
        return entry

    async def _find(self, task_id: str) -> TaskEntry | None:
        return self._table.get(task_id) or await self._load(task_id)

    async def _require(self, task_id: str) -> TaskEntry:
        entry = await self._find(task_id)
        if entry is None:
            raise TaskNotFound(f"There is no task {task_id}. It may have been deleted when its retention ended.")
        return entry

    def _enqueue(self, entry: TaskEntry) -> None:
        self._table.enqueue(entry.task_id)
        self._queue_changed.set()

    def _slots(self) -> int:
        return self._fleet.size() * self._config.slots_per_replica

    def _retry_after_s(self) -> float:
        return min(600.0, max(1.0, (self._table.estimated_wait_s(self._slots()) or 5.0) / 2))

    async def _dispatch_loop(self) -> None:
        while True:
            await self._queue_changed.wait()
            self._queue_changed.clear()
            # A few more calls than slots: waiting calls are what Serve scales on, and one wakes a service at zero.
            while len(self._calls) < self._slots() + 2 and (entry := self._table.next_queued()) is not None:
                self._calls[entry.task_id] = self._spawn(self._attempt(entry))

    async def _attempt(self, entry: TaskEntry) -> None:
        task_id = entry.task_id
        try:
            attempt = entry.attempt + 1
            while not await self._archive.claim(task_id, attempt, self._config.actor_name):
                attempt += 1
            if entry.snapshot.status.is_terminal:
                return
            self._table.start_attempt(entry, attempt)
            died = "the replica ended the call without a result"
            try:
                await self._dispatch(TaskOrder(task_id, attempt))
            # A process border: whatever the remote call raised, the attempt is over and must be accounted for.
            except Exception as error:  # noqa: BLE001
                died = f"{type(error).__name__}"
                log.warning("attempt lost", extra={"task_id": task_id, "attempt": attempt, "why": died})
            if entry.attempt == attempt:
                await self._lost(entry, died)
        finally:
            self._calls.pop(task_id, None)
            self._queue_changed.set()

    async def _lost(self, entry: TaskEntry, why: str) -> None:
        """An attempt ended without a word: try again, or give up after ``max_attempts``."""
        lock = self._finishing.setdefault(entry.task_id, asyncio.Lock())
        async with lock:
            pass  # a finish that is being written right now goes first
        if entry.snapshot.status.is_terminal:
            return
        entry.deaths += 1
        if entry.deaths >= self._config.max_attempts:
            message = f"The replica died {entry.deaths} times while working on this task ({why})."
            await self._end(entry, self._end_of(entry, TaskStatus.ERROR, "replica_died", message))
        else:
            await asyncio.sleep(0.5 * entry.deaths)
            self._table.requeue(entry, "The replica was lost; waiting to try again")
            self._queue_changed.set()

    def _end_of(
        self, entry: TaskEntry, status: TaskStatus, error_code: str | None = None, message: str | None = None
    ) -> TaskEnd:
        return TaskEnd(
            task_id=entry.task_id,
            status=status,
            attempt=entry.attempt,
            completed_at=time.time(),
            started_at=entry.snapshot.started_at,
            error_code=error_code,
            error_message=message,
            units_done=entry.progress.units_done,
            units_total=entry.progress.units_total,
            regions_done=entry.progress.regions_done,
        )

    async def _end(self, entry: TaskEntry, end: TaskEnd) -> None:
        """Record, then event, then callback, in that order. The first end written stands."""
        lock = self._finishing.setdefault(entry.task_id, asyncio.Lock())
        async with lock:
            if entry.snapshot.status.is_terminal:
                return
            if not await self._archive.create_end(end):
                end = await self._archive.end(entry.task_id) or end
            self._table.finish(entry, end)
        self._finishing.pop(entry.task_id, None)
        log.info("task ended", extra={"task_id": end.task_id, "status": end.status.value, "attempt": end.attempt})
        self._spawn(self._after_end(entry.record, end))

    async def _after_end(self, record: TaskRecord, end: TaskEnd) -> None:
        await self._archive.delete_input(end.task_id)
        if record.submission.callback_url:
            await self._deliver(record, end)

    async def _watch_loop(self) -> None:
        """Leases and retention."""
        while True:
            await asyncio.sleep(2.0)
            now, wall = time.monotonic(), time.time()
            for entry in self._table:
                if entry.running and now - entry.heard_at > self._config.lease_s and entry.task_id not in self._calls:
                    await self._lost(entry, "no news within the lease")
                ended = entry.snapshot.completed_at
                if ended is not None:
                    await self._expire(entry, wall - ended)

    async def _expire(self, entry: TaskEntry, age_s: float) -> None:
        """The result goes when its retention ends, the record one more retention later."""
        if age_s > 2 * self._config.retention_s:
            await self._archive.delete_files(entry.task_id, keep_record=False)
            self._table.forget(entry.task_id)
        elif age_s > self._config.retention_s and not entry.expired:
            entry.expired = True
            await self._archive.delete_files(entry.task_id, keep_record=True)
