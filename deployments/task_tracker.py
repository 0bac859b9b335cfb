"""The plain class that runs as the one named actor: accepts tasks, dispatches them, follows them to their end.

The actor is the hot state; the archive is the truth that it is rebuilt from. What a crash loses is only what can be
asked again: progress within a unit, and the turns of the queue (rebuilt in the order of acceptance). The end of a task
is the replica's ``finish``; the reply of the dispatched call is only a hint that the replica died.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from deployments import diagnostics
from deployments.attempts import Attempts, Dispatch, Introduce
from deployments.batches import Batches
from deployments.callbacks import Callbacks
from deployments.config import TrackerConfig
from deployments.errors import ArchiveUnavailable, TaskConflict, TaskFinished, TaskRunning
from deployments.fleet import Fleet
from deployments.housekeeping import Housekeeping
from deployments.metrics import Metrics, NoMetrics
from deployments.owners import OwnerBook
from deployments.progress import UnitProgress
from deployments.protocol import AttemptReport, ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.queue_room import QueueRoom
from deployments.sweeper import Sweeper
from deployments.task_archive import BatchRecord, TaskArchive, TaskRecord
from deployments.task_life import Background, TaskLife
from deployments.task_table import TaskEntry, TaskTable
from deployments.tasks import (
    BatchSnapshot,
    BatchSubmission,
    Changes,
    Delivery,
    ServiceState,
    TaskCounts,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from deployments.webhooks import Sender

log = logging.getLogger("ray.serve")

_MEASURE_S = 2.0


class TaskTracker:
    """``owner`` is this tracker's name among those that share the archive; ``dispatch``, ``introduce``, ``send`` and
    ``leave`` (ends the process) are injected, so that tests run the class without Ray and without a network."""

    def __init__(
        self, config: TrackerConfig, archive: TaskArchive, owner: str, dispatch: Dispatch, introduce: Introduce,
        send: Sender, metrics: Metrics | None = None, leave: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._config = config
        self._archive = archive
        self._owner = owner
        self._epoch = uuid.uuid4().hex
        self._since = self._called_at = time.monotonic()
        self._leave = leave
        self._background = Background()
        self._table = TaskTable(config.max_queued)
        self._fleet = Fleet(config.lease_s)
        self._introduce = introduce
        self._metrics = metrics or NoMetrics()
        self._life = TaskLife(archive, self._table, owner, self._background, self._metrics)
        self._life.on_end = self._ended
        self._attempts = Attempts(config, self._life, dispatch, self._slots)
        self._owners = owners = OwnerBook(archive, owner, config.lease_s)
        self._callbacks = Callbacks(archive, owners, owner, send, self._background, metrics=self._metrics)
        self._batches = Batches(archive, self._life, self._callbacks, owners, config.retention_s)
        self._house = Housekeeping(config, self._life, self._attempts, owners)
        self._sweeper = Sweeper(archive, config.retention_s, config.archive_max_bytes)
        self._ready: asyncio.Task[None] | None = None
        self._room = QueueRoom(config, self._table, self._slots)

    # -- for ingress -------------------------------------------------------------------------------------------------

    async def submit(self, submission: TaskSubmission) -> tuple[TaskSnapshot, bool]:
        """Accept a task whose input is in the archive. Idempotent: the same id and content returns the task."""
        await self._started()
        entry, new = await self._accept(submission)
        return self._snapshot(entry), new

    async def submit_batch(
        self, batch: BatchSubmission, submissions: tuple[TaskSubmission, ...]
    ) -> tuple[BatchSnapshot, bool]:
        """Accept all tasks of a batch or none. A submission that broke off is completed by repeating it."""
        await self._started()
        known = await self._batches.record(batch.batch_id)
        with self._room.places(len(submissions) if known is None else 0, batch.client):
            if known is None:
                digests = {submission.task_id: submission.content_sha256 for submission in submissions}
                for entry in await self._life.load_all(digests):
                    _require_same(entry, digests[entry.task_id])
                record = BatchRecord(batch, time.time(), self._owner)
                created = await self._archive.create_batch(record)
                known = record if created else await self._batches.record(batch.batch_id)
            if known is None or known.submission.content_sha256 != batch.content_sha256:
                raise TaskConflict(f"batch_id {batch.batch_id} is in use for other content. Choose another.")
            self._batches.begin(known)
            new = [(await self._accept(submission, room_checked=True))[1] for submission in submissions]
            self._batches.accepted(batch.batch_id)
        return await self.batch(batch.batch_id), any(new)

    async def snapshot(self, task_id: str) -> TaskSnapshot:
        await self._started()
        return self._snapshot(await self._life.require(task_id))

    async def batch(self, batch_id: str) -> BatchSnapshot:
        await self._started()
        return await self._batches.snapshot(batch_id, self._slots())

    async def cancel(self, task_id: str) -> TaskSnapshot:
        """Final at once; the replica stops within one unit."""
        await self._started()
        entry = await self._life.require(task_id)
        if not entry.snapshot.status.is_terminal:
            await self._cancel(entry)
        snap = entry.snapshot
        if snap.status is not TaskStatus.CANCELLED:
            ended = "completed" if snap.status is TaskStatus.COMPLETED else "ended in error"
            raise TaskFinished(f"Task {task_id} has already {ended}; it cannot be cancelled.", status=snap.status.value)
        return snap

    async def cancel_batch(self, batch_id: str) -> BatchSnapshot:
        """Every task of it that has not ended."""
        entries = [self._table.get(task.task_id) for task in (await self.batch(batch_id)).tasks]
        await asyncio.gather(*(self._cancel(entry) for entry in entries if entry and not entry.ended))
        return await self.batch(batch_id)

    async def delete(self, task_id: str) -> None:
        """Forget an ended task and all of its files."""
        await self._started()
        entry = await self._life.require(task_id)
        if not entry.snapshot.status.is_terminal:
            raise TaskRunning(f"Task {task_id} is {entry.snapshot.status}; cancel it before deleting it.")
        self._table.forget(task_id)
        await self._archive.done("callbacks", task_id)
        await self._archive.done("tasks", task_id)
        await self._archive.delete_prefix(f"tasks/{task_id}")
        self._table.forget(task_id)  # whoever asked meanwhile had it read again

    async def deliveries(self, task_id: str) -> list[Delivery]:
        await self._started()
        return await self._callbacks.log((await self._life.require(task_id)).record)

    async def redeliver(self, task_id: str) -> list[Delivery]:
        """Send the callback once more; the log as it was before."""
        await self._started()
        record = (await self._life.require(task_id)).record
        await self._callbacks.again(record)
        return await self._callbacks.log(record)

    async def counts(self, client: str | None = None) -> TaskCounts:
        """Of all clients, or of one."""
        await self._started()
        return self._table.counts(self._slots(), client)

    async def state(self) -> ServiceState:
        await self._started()
        state = self._fleet.state(self._table.counts(self._slots()))
        about = {
            "tracker": {"id": self._owner, "up_s": round(time.monotonic() - self._since, 1)} | self._process(),
            "archive": {"url": diagnostics.without_secrets(self._config.archive_url)} | self._house.archive_state(),
        }
        return replace(state, diagnostics=state.diagnostics | about)

    async def changes(self, epoch: str, after_version: int, timeout_s: float) -> Changes:
        """Long poll: every task changed after ``after_version``, newest state only. A version of another epoch (or of
        none, at first) is answered at once with where this one's versions are."""
        await self._started()
        if epoch != self._epoch:
            return Changes(self._epoch, self._table.version, ())
        found = await self._table.wait_after(after_version, timeout_s)
        # The table's version, not the last one found: it also rises by what is no news.
        return Changes(self._epoch, self._table.version, tuple(found))

    # -- for replicas ------------------------------------------------------------------------------------------------

    async def report(self, report: ReplicaReport) -> dict[str, Verdict]:
        """A replica's heartbeat, with the progress of its attempts; the answer says which of them should stop."""
        await self._started()
        self._fleet.heard(report)
        self._attempts.wake()
        return {attempt.order.task_id: self._attempts.advance(attempt) for attempt in report.attempts}

    async def begin(self, order: TaskOrder) -> Verdict:
        """Asked by a replica before it starts, since a call may have waited long in its queue."""
        await self._started()
        return self._attempts.advance(AttemptReport(order, UnitProgress()))

    async def finish(self, end: TaskEnd) -> None:
        """An attempt ended; its result is in the archive already. Stale attempts are ignored."""
        await self._started()
        entry = self._table.get(end.task_id)
        if entry is not None and entry.attempt == end.attempt and not entry.snapshot.status.is_terminal:
            await self._life.end(entry, end)
            self._sweeper.wrote(end.result_bytes)

    async def forget_replica(self, replica_id: str) -> None:
        """A replica says goodbye."""
        self._fleet.gone(replica_id)

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _accept(self, submission: TaskSubmission, *, room_checked: bool = False) -> tuple[TaskEntry, bool]:
        task_id = submission.task_id
        known = await self._life.find(task_id)
        if known is None:
            with self._room.places(0 if room_checked else 1, submission.client):
                record = TaskRecord(submission, time.time(), self._owner)
                if await self._archive.create_record(record):
                    entry = self._table.get(task_id) or self._table.add(record, self._owner)
                    self._attempts.enqueue(entry)
                    return entry, True
            known = await self._life.find(task_id)
        if known is None:
            raise ArchiveUnavailable(f"Task {task_id} was deleted while it was submitted. Try again.")
        _require_same(known, submission.content_sha256)
        return known, False

    async def _cancel(self, entry: TaskEntry) -> None:
        await self._life.end(entry, self._life.end_of(entry, TaskStatus.CANCELLED))
        self._attempts.stop(entry.task_id)

    def _ended(self, record: TaskRecord, end: TaskEnd) -> None:
        self._callbacks.task_ended(record, end)
        self._batches.task_ended(record.submission.batch_id)

    def _snapshot(self, entry: TaskEntry) -> TaskSnapshot:
        return self._table.snapshot(entry, self._slots())

    def _slots(self) -> int:
        return self._fleet.size() * self._config.slots_per_replica

    async def _started(self) -> None:
        self._called_at = time.monotonic()
        # A start that failed, as while the archive is away, is made again by the next call.
        if self._ready is None or (self._ready.done() and (self._ready.cancelled() or self._ready.exception())):
            self._ready = self._background.spawn(self._start())
        await asyncio.shield(self._ready)

    async def _start(self) -> None:
        await self._house.start()
        self._background.spawn(self._attempts.run())
        self._background.repeat(self._house.look_after, self._config.sync_s)
        self._background.repeat(self._attempts.reap, min(2.0, self._config.attempt_silence_s / 5))
        self._background.repeat(self._sweep, 1.0)
        self._background.repeat(self._measure, _MEASURE_S)
        self._background.repeat(self._settle, self._config.sync_s)
        self._background.repeat(self._meet, self._config.sync_s)
        self._background.repeat(self._end_when_needless, self._config.sync_s)
        self._background.spawn(self._house.load_history())

    def _process(self) -> dict[str, object]:
        return {key: value for key, value in diagnostics.process("cpu").items() if key != "device_name"}

    async def _measure(self) -> None:
        counts = self._table.counts(self._slots())
        for status in ("pending", "preparing", "processing"):
            self._metrics.set("iopaint_tasks", float(getattr(counts, status)), status=status)
        self._metrics.set("iopaint_queue_limit", float(self._config.max_queued))
        self._metrics.set("iopaint_replicas", float(self._fleet.size()))

    async def _meet(self) -> None:
        """A service scaled to zero is healthy, from what a replica said. Where none has said anything, or the last one
        died, one is started, once."""
        if self._fleet.is_unknown and self._idle_s() < self._config.lease_s:
            self._fleet.heard(await self._introduce())
            self._attempts.wake()

    async def _sweep(self) -> None:
        # One of settings that are no longer deployed, to which nobody talks, leaves it to the others.
        if self._idle_s() < self._config.lease_s or not self._owners.others():
            await self._sweeper.turn()

    async def _end_when_needless(self) -> None:
        """After an update: its replicas and its ingress are gone, its tasks have ended, and another tracker lives."""
        others = any(not self._owners.is_silent(other) for other in self._owners.others())
        if self._idle_s() > self._config.idle_end_s and others and not self._attempts.any_of_ours():
            log.info("task tracker ends: nobody needs it any more")
            self._leave()  # the others remove its heartbeat: one that is just being written would outlive its removal

    def _idle_s(self) -> float:
        return time.monotonic() - self._called_at

    async def _settle(self) -> None:
        """Callbacks and batches that a crash, or another tracker's death, left open."""
        await self._callbacks.sync()
        await self._batches.sync()


def _require_same(entry: TaskEntry, content_sha256: str) -> None:
    if entry.record.submission.content_sha256 != content_sha256:
        raise TaskConflict(f"task_id {entry.task_id} is in use for other content. Choose another, or leave it out.")
