"""The tracker's memory: tasks, their order of change, the queue. Pure bookkeeping, no I/O, one transition function."""

import asyncio
import contextlib
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from deployments.progress import UnitProgress, remaining_s
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskRecord
from deployments.task_queue import FairQueue
from deployments.tasks import Stage, TaskCounts, TaskSnapshot, TaskStatus

_GATHER_S = 0.02
"""What changes at about the same time is told in one answer: a call costs both processes more than its contents."""
_STAGE_STATUS = {Stage.PREPARING: TaskStatus.PREPARING}
_MESSAGES = {
    Stage.PREPARING: "Preparing the image",
    Stage.MASKING: "Making the mask",
    Stage.INPAINTING: "Inpainting: {done} of {total} units done",
    Stage.FINALIZING: "Checking and encoding the result",
}


@dataclass(slots=True)
class TaskEntry:
    """One task. ``attempt`` counts starts; ``deaths`` only those that ended without a word."""

    record: TaskRecord
    snapshot: TaskSnapshot
    attempt: int = 0
    deaths: int = 0
    progress: UnitProgress = field(default_factory=UnitProgress)
    heard_at: float = 0.0
    """Monotonic seconds of the last report of the current attempt."""
    inpainting_since: float | None = None
    running: bool = False
    """An attempt is out: dispatched, or adopted after a restart."""
    begun: bool = False
    """A replica has reported on the current attempt: before that it may wait long for one."""
    owner: str = ""
    """The tracker that works on it; another than this one: only followed here, through the archive."""

    @property
    def task_id(self) -> str:
        return self.snapshot.task_id

    @property
    def ended(self) -> bool:
        return self.snapshot.status.is_terminal


class TaskTable:
    """Tasks by id, in the order of their last change; a waiter is woken by any change."""

    def __init__(self, max_queued: int) -> None:
        self._entries: dict[str, TaskEntry] = {}
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._queue = FairQueue()
        self._by_status = dict.fromkeys(TaskStatus, 0)
        self._active: dict[str, None] = {}
        # Versions go on rising after a restart, because they begin at the clock.
        self._version = time.time_ns() // 1000
        self._wake = asyncio.Event()
        self._max_queued = max_queued
        self._task_seconds = 0.0

    def __iter__(self) -> Iterator[TaskEntry]:
        return iter(list(self._entries.values()))

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._entries

    def get(self, task_id: str) -> TaskEntry | None:
        return self._entries.get(task_id)

    @property
    def version(self) -> int:
        return self._version

    def room(self) -> int:
        return max(0, self._max_queued - len(self._queue))

    def active(self) -> list[TaskEntry]:
        """Not ended, oldest first."""
        return [self._entries[task_id] for task_id in self._active]

    def active_of(self, client: str) -> int:
        """How many of one client have not ended."""
        return sum(entry.snapshot.client == client for entry in self.active())

    def add(self, record: TaskRecord, owner: str) -> TaskEntry:
        """A newly accepted (or rebuilt) task; the caller queues it."""
        sub = record.submission
        snapshot = TaskSnapshot(
            task_id=sub.task_id,
            version=0,
            status=TaskStatus.PENDING,
            stage=None,
            overall_progress=0.0,
            stage_progress=0.0,
            current_region=0,
            total_regions=sub.total_regions,
            message="Waiting for a free replica",
            created_at=record.created_at,
            updated_at=record.created_at,
            progress_interval_s=sub.progress_interval_s,
            enable_progress=sub.enable_progress,
            client=sub.client,
            batch_id=sub.batch_id,
        )
        entry = TaskEntry(record, snapshot, owner=owner)
        self._entries[sub.task_id] = entry
        self._by_status[TaskStatus.PENDING] += 1
        self._active[sub.task_id] = None
        self._publish(entry, snapshot)
        return entry

    def enqueue(self, entry: TaskEntry, *, front: bool = False) -> None:
        sub = entry.record.submission
        self._queue.push(sub.task_id, sub.client, sub.priority, front=front)

    def next_queued(self) -> TaskEntry | None:
        """Take the task whose turn it is."""
        while (task_id := self._queue.pop()) is not None:
            entry = self._entries.get(task_id)
            if entry and not entry.snapshot.status.is_terminal:
                return entry
        return None

    def start_attempt(self, entry: TaskEntry, attempt: int) -> None:
        entry.attempt, entry.running, entry.heard_at = attempt, True, time.monotonic()
        entry.progress, entry.inpainting_since, entry.begun = UnitProgress(), None, False

    def advance(self, entry: TaskEntry, progress: UnitProgress) -> None:
        """News of the current attempt. Progress never falls, not even when an attempt starts over."""
        now = time.monotonic()
        entry.heard_at, entry.begun = now, True
        snap = entry.snapshot
        # The version zero of an attempt, "nothing done yet", is news once: the task has begun.
        if snap.status.is_terminal or (progress == entry.progress and snap.status is not TaskStatus.PENDING):
            return
        entry.progress = progress
        if progress.stage is Stage.INPAINTING and entry.inpainting_since is None:
            entry.inpainting_since = now
        inpainting_s = now - entry.inpainting_since if entry.inpainting_since is not None else 0.0
        self._publish(
            entry,
            replace(
                snap,
                status=_STAGE_STATUS.get(progress.stage, TaskStatus.PROCESSING),
                stage=progress.stage,
                overall_progress=max(snap.overall_progress, progress.overall_percent),
                stage_progress=round(progress.stage_percent, 2),
                current_region=max(snap.current_region, progress.regions_done),
                total_regions=max(snap.total_regions, progress.regions_total),
                message=_MESSAGES[progress.stage].format(done=progress.units_done, total=progress.units_total),
                started_at=snap.started_at or time.time(),
                updated_at=progress.at or time.time(),
                estimated_remaining_s=remaining_s(progress, inpainting_s),
                units_done=progress.units_done,
                units_total=progress.units_total,
            ),
        )

    def requeue(self, entry: TaskEntry, why: str) -> None:
        entry.running = False
        self._publish(
            entry,
            replace(
                entry.snapshot,
                status=TaskStatus.PENDING,
                message=why,
                updated_at=time.time(),
                estimated_remaining_s=None,
            ),
        )
        self.enqueue(entry, front=True)

    def finish(self, entry: TaskEntry, end: TaskEnd, *, news: bool = True) -> None:
        """The one way to a terminal state; the end is in the archive already.

        ``news`` False: it ended long ago and was read again, so no watcher is told.
        """
        entry.running = False
        self._queue.remove(entry.task_id)
        done = end.status is TaskStatus.COMPLETED
        snap = entry.snapshot
        if done and end.started_at and news:
            seconds = end.completed_at - end.started_at
            self._task_seconds = seconds if not self._task_seconds else 0.8 * self._task_seconds + 0.2 * seconds
        # How many regions a task has that looks for text itself is known once it has looked.
        total = max(snap.total_regions, end.stats.regions_processed if end.stats else 0)
        messages = {
            TaskStatus.COMPLETED: "Completed",
            TaskStatus.CANCELLED: f"Cancelled after {end.units_done} of {end.units_total} units",
        }
        self._publish(
            entry,
            replace(
                snap,
                status=end.status,
                stage=Stage.FINALIZING if done else snap.stage,
                overall_progress=100.0 if done else snap.overall_progress,
                stage_progress=100.0 if done else snap.stage_progress,
                current_region=total if done else max(snap.current_region, end.regions_done),
                total_regions=total,
                message=messages.get(end.status) or end.error_message or "Failed",
                started_at=end.started_at or snap.started_at,
                completed_at=end.completed_at,
                updated_at=end.completed_at,
                estimated_remaining_s=0.0 if done else None,
                error_code=end.error_code,
                error_message=end.error_message,
                units_done=end.units_done,
                units_total=end.units_total,
                stats=end.stats,
            ),
            news=news,
        )

    def forget(self, task_id: str) -> None:
        entry = self._entries.pop(task_id, None)
        self._changed.pop(task_id, None)
        self._active.pop(task_id, None)
        self._queue.remove(task_id)
        if entry is not None:
            self._by_status[entry.snapshot.status] -= 1

    def snapshot(self, entry: TaskEntry, slots: int) -> TaskSnapshot:
        """With the place in the queue and the wait, which change without news of the task itself."""
        position = self._queue.position(entry.task_id)
        if position is None:
            return entry.snapshot
        turns = 1 + position / max(1, slots)
        left = round(self._task_seconds * turns, 3) if self._task_seconds else None
        return replace(entry.snapshot, queue_position=position, estimated_remaining_s=left)

    def changed_after(self, version: int) -> list[TaskSnapshot]:
        """The newest snapshot of each task that changed after ``version``, oldest change first."""
        found = []
        for task_id in reversed(self._changed):
            if self._changed[task_id] <= version:
                break
            found.append(self._entries[task_id].snapshot)
        return found[::-1]

    async def wait_after(self, version: int, timeout_s: float) -> list[TaskSnapshot]:
        if self._version <= version:
            wake = self._wake
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await wake.wait()
                    await asyncio.sleep(_GATHER_S)
        return self.changed_after(version)

    def counts(self, slots: int, client: str | None = None) -> TaskCounts:
        """Of all clients, or of one."""
        by_status, active = self._by_status, tuple(self._active)
        if client is not None:
            own = (entry.snapshot for entry in self._entries.values())
            counted = Counter(one.status for one in own if one.client == client)
            by_status = {status: counted[status] for status in TaskStatus}
            active = tuple(task_id for task_id in active if self._entries[task_id].snapshot.client == client)
        return TaskCounts(
            **{status.value: count for status, count in by_status.items()},
            active_task_ids=active,
            max_queued=self._max_queued,
            estimated_wait_s=self.estimated_wait_s(slots),
        )

    def estimated_wait_s(self, slots: int) -> float | None:
        """Seconds until a task accepted now would end, from the measured time per task; None before the first."""
        if not self._task_seconds:
            return None
        return round(self._task_seconds * (1 + len(self._active) / max(1, slots)), 3)

    def freed_in_s(self, places: int, slots: int) -> float:
        """Seconds until so many waiting tasks have begun, from the measured time per task; 10 before the first."""
        return max(1.0, self._task_seconds * places / max(1, slots)) if self._task_seconds else 10.0

    def _publish(self, entry: TaskEntry, snapshot: TaskSnapshot, *, news: bool = True) -> None:
        self._version += 1
        self._by_status[entry.snapshot.status] -= 1
        self._by_status[snapshot.status] += 1
        if snapshot.status.is_terminal:
            self._active.pop(entry.task_id, None)
        entry.snapshot = replace(snapshot, version=self._version)
        if not news:
            self._changed.pop(entry.task_id, None)
            return
        self._changed[entry.task_id] = self._version
        self._changed.move_to_end(entry.task_id)
        self._wake.set()
        self._wake = asyncio.Event()
