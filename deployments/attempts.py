"""Attempts at tasks: sent to replicas in turn, followed by their heartbeats, tried again when a replica is lost."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from deployments.config import TrackerConfig
from deployments.errors import ArchiveUnavailable
from deployments.protocol import AttemptReport, ReplicaReport, TaskOrder, Verdict
from deployments.task_archive import Claim
from deployments.task_life import TaskLife
from deployments.task_table import TaskEntry
from deployments.tasks import TaskStatus

log = logging.getLogger("ray.serve")

_ARCHIVE_WAIT_S = 2.0


class Dispatch(Protocol):
    """Sends one attempt to a replica, to one that holds ``model`` (None: the default) where one does.

    Returns when the replica's call returned. Raises ``ReplicaDrained`` when the replica was stopped on purpose,
    ``ReplicaLost`` when it died, ``ArchiveUnavailable`` when it could not read or write.
    """

    def __call__(self, order: TaskOrder, model: str | None) -> Awaitable[None]: ...


class Introduce(Protocol):
    """Has any replica say what it is once it knows; one is started where none runs. Raises ``TextRemovalError``."""

    def __call__(self) -> Awaitable[ReplicaReport]: ...


class ReplicaDrained(Exception):
    """The replica was stopped on purpose (scale-down, update): nothing is held against the task."""


class ReplicaLost(Exception):
    """The call did not come back from the replica: it died, or could not be reached. ``kind``: in a word."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Attempts:
    """``slots()`` says how many attempts the replicas work on at once."""

    def __init__(self, config: TrackerConfig, life: TaskLife, dispatch: Dispatch, slots: Callable[[], int]) -> None:
        self._config = config
        self._life = life
        self._table = life.table
        self._dispatch = dispatch
        self._slots = slots
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._looked_at = 0.0
        """Monotonic seconds of the last look at who is silent."""

    def enqueue(self, entry: TaskEntry) -> None:
        if entry.running or entry.task_id in self._calls:
            return
        self._table.enqueue(entry)
        self._wake.set()

    def wake(self) -> None:
        """There may be a free slot."""
        self._wake.set()

    def stop(self, task_id: str) -> None:
        """Take the replica's call back, if one is out."""
        call = self._calls.get(task_id)
        if call is not None:
            call.cancel()

    def running(self) -> list[TaskEntry]:
        return [entry for entry in self._table.active() if entry.running and entry.owner == self._life.owner]

    def any_of_ours(self) -> bool:
        """Whether any task that has not ended is this tracker's."""
        return any(entry.owner == self._life.owner for entry in self._table.active())

    async def run(self) -> None:
        """The dispatch loop."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            # A few more calls than slots: waiting calls are what Serve scales on, and one wakes a service at zero.
            while len(self._calls) < self._slots() + 2 and (entry := self._table.next_queued()) is not None:
                self._calls[entry.task_id] = self._life.background.spawn(self._attempt(entry))

    def advance(self, report: AttemptReport) -> Verdict:
        """News of an attempt. One that reports after this tracker was rebuilt is adopted: its lease begins now."""
        entry = self._table.get(report.order.task_id)
        if entry is None or entry.ended or entry.attempt != report.order.attempt:
            return Verdict.STOP
        entry.running = True
        self._table.advance(entry, report.progress)
        return Verdict.CONTINUE

    async def reap(self) -> None:
        """Attempts that nobody has heard of for too long are lost, whatever became of their calls."""
        now, looked_at = time.monotonic(), self._looked_at
        self._looked_at = now
        if now - looked_at > self._config.attempt_silence_s / 2:
            return  # it was this process that stood still: the heartbeats of that time are yet to be read
        oldest = now - self._config.attempt_silence_s
        # One that has not begun may wait long for a replica, but only while its call does.
        waits = [entry for entry in self.running() if entry.begun or entry.task_id not in self._calls]
        silent = [entry for entry in waits if entry.heard_at < oldest]
        for entry in silent:
            self.stop(entry.task_id)
        await asyncio.gather(*(self._lost(entry, entry.attempt, "it was not heard of any more") for entry in silent))

    def pick_up(self) -> None:
        """Tasks of ours that nothing is done about wait again: an archive that failed in the middle of a step leaves
        such, and so does one that took a record although its answer got lost."""
        for entry in self._table.active():
            if entry.owner == self._life.owner:
                self.enqueue(entry)

    async def _attempt(self, entry: TaskEntry) -> None:
        task_id = entry.task_id
        try:
            number = await self._claim(entry)
            if number is not None and not entry.ended:
                await self._run(entry, number)
        except ArchiveUnavailable:
            # Neither started nor ended: it stays here, out of the queue, while the archive may come back.
            log.warning("attempt put off", extra={"task_id": task_id})
            entry.running = False
            await asyncio.sleep(_ARCHIVE_WAIT_S)
            if not entry.ended:
                self._table.enqueue(entry, front=True)
        finally:
            if self._calls.get(task_id) is asyncio.current_task():
                del self._calls[task_id]
            self._wake.set()

    async def _run(self, entry: TaskEntry, number: int) -> None:
        submission = entry.record.submission
        order = TaskOrder(entry.task_id, number, submission.input_name, submission.traceparent, self._config.actor_name)
        try:
            await self._dispatch(order, submission.model)
        except ReplicaDrained:
            await self._again(entry, number, "The replica was stopped; waiting for another one", 0.0)
        except ArchiveUnavailable:
            await self._again(entry, number, "The archive failed; waiting to try again", _ARCHIVE_WAIT_S)
        except ReplicaLost as error:
            log.warning("attempt lost", extra={"task_id": entry.task_id, "attempt": number, "why": str(error)[:500]})
            await self._lost(entry, number, error.kind)
        else:
            await self._lost(entry, number, "it ended the call without a result")

    async def _claim(self, entry: TaskEntry) -> int | None:
        """The number of the attempt that is ours to start; None when the task has ended or another tracker has it."""
        owner = self._life.owner
        while not entry.ended:
            claim = Claim(entry.attempt + 1, owner, entry.deaths)
            if entry.deaths >= self._config.max_attempts:  # given up before, but the archive did not take it
                await self._give_up(entry)
                return None
            if claim.number > self._config.max_starts:
                why = f"The task was started {entry.attempt} times without coming to an end."
                await self._life.end(entry, self._life.end_of(entry, TaskStatus.ERROR, "too_many_attempts", why))
                return None
            if await self._life.archive.claim(entry.task_id, claim):
                entry.owner = owner
                self._table.start_attempt(entry, claim.number)
                return claim.number
            taken = await self._life.archive.last_claim(entry.task_id)
            if taken is None:
                return None  # deleted meanwhile
            entry.attempt, entry.owner = taken.number, taken.owner
            if taken.owner != owner:
                return None  # followed through the archive from now on
        return None

    async def _lost(self, entry: TaskEntry, number: int, why: str) -> None:
        """An attempt ended without a word: try again, or give up after ``max_attempts``."""
        await self._life.being_ended(entry.task_id)
        if entry.attempt != number or entry.ended or not entry.running:
            return
        entry.deaths += 1
        self._life.metrics.count("iopaint_attempts_lost")
        if entry.deaths >= self._config.max_attempts:
            await self._give_up(entry, f" ({why})")
            return
        await self._again(entry, number, "The replica was lost; waiting to try again", 0.5 * entry.deaths)

    async def _give_up(self, entry: TaskEntry, why: str = "") -> None:
        message = f"The replica died {entry.deaths} times while working on this task{why}."
        await self._life.end(entry, self._life.end_of(entry, TaskStatus.ERROR, "replica_died", message))

    async def _again(self, entry: TaskEntry, number: int, message: str, wait_s: float) -> None:
        await self._life.being_ended(entry.task_id)
        if entry.attempt != number or entry.ended or not entry.running:
            return
        entry.running = False
        await asyncio.sleep(wait_s)
        if entry.attempt == number and not entry.running and not entry.ended:
            self._table.requeue(entry, message)
            self._wake.set()
