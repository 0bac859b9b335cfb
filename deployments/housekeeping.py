"""What a tracker does besides answering: its heartbeat, other trackers' tasks, lost attempts, old entries."""

import asyncio
import logging
import time

from deployments.attempts import Attempts
from deployments.config import TrackerConfig
from deployments.owners import OwnerBook
from deployments.task_life import TaskLife
from deployments.task_table import TaskEntry

log = logging.getLogger("ray.serve")

_STALE_TODO_S = 3600.0
_ADOPTION_S = 6.0
"""Three heartbeats: attempts that survived the death of their tracker report within it."""


class Housekeeping:
    """The promise to other trackers: nothing of theirs is started while they are heard."""

    def __init__(self, config: TrackerConfig, life: TaskLife, attempts: Attempts, owners: OwnerBook) -> None:
        self._config = config
        self._life = life
        self._attempts = attempts
        self._owners = owners
        self._known_todo: set[str] = set()
        self._wrote_at: float | None = None
        self._adopted = False

    async def start(self) -> None:
        """Everything unfinished into the table; what is ours, or nobody's, is queued again after the adoption time."""
        await self._beat()
        await self._owners.look()
        todo = await self._life.archive.todo("tasks")
        found = await self._life.load_all(todo, news=True)
        self._known_todo = set(todo)
        for entry in found:
            if entry.snapshot.status.is_terminal:
                self._redo_end(entry)
        waiting = [e for e in found if not e.snapshot.status.is_terminal and self._is_ours(e)]
        for entry in waiting:
            entry.owner = self._life.owner
        if waiting:
            log.info("tasks found unfinished in the archive", extra={"count": len(waiting)})
        self._life.background.spawn(self._resume(waiting))

    async def look_after(self) -> None:
        """Due every ``sync_s``."""
        await self._beat()
        await self._owners.look()
        await self._follow_others()
        await self._take_over()
        if self._adopted:
            self._attempts.pick_up()
        self._forget_old()

    async def load_history(self) -> None:
        """Ended tasks, for the figures; each is found without this, too, when it is asked for."""
        seen: dict[str, float] = {}
        async for file in self._life.archive.files("tasks"):
            if file.path.endswith("/end.json"):
                seen[file.path.split("/")[1]] = file.modified_at
        newest = sorted(seen, key=lambda task_id: -seen[task_id])[: self._config.max_remembered]
        await self._life.load_all(newest)

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        await self._owners.beat({entry.task_id: entry.progress for entry in self._attempts.running()})
        self._wrote_at = time.monotonic()

    def archive_state(self) -> dict[str, object]:
        """For ``health``: when the archive last took a write (one is due every ``sync_s``), and who shares it."""
        since = None if self._wrote_at is None else round(time.monotonic() - self._wrote_at, 1)
        return {"last_write_s_ago": since, "other_trackers": len(self._owners.others())}

    def _is_ours(self, entry: TaskEntry) -> bool:
        return entry.owner == self._life.owner or self._owners.is_silent(entry.owner)

    async def _resume(self, waiting: list[TaskEntry]) -> None:
        # Attempts still running report within a few heartbeats and are adopted. What was never started need not wait.
        for entry in sorted(waiting, key=lambda e: e.record.created_at):
            if entry.attempt == 0:
                self._attempts.enqueue(entry)
        await asyncio.sleep(min(_ADOPTION_S, self._config.lease_s))
        for entry in sorted(waiting, key=lambda e: e.record.created_at):
            if not entry.ended:
                self._attempts.enqueue(entry)
        self._adopted = True

    async def _follow_others(self) -> None:
        """Tasks accepted elsewhere appear here, with their progress; ends written elsewhere end them here."""
        todo = await self._life.archive.todo("tasks")
        new = [task_id for task_id in todo if task_id not in self._known_todo and task_id not in self._life.table]
        await self._life.load_all(new, news=True)
        self._known_todo = set(todo)
        for entry in self._life.table.active():
            if entry.task_id not in todo:
                await self._ended_elsewhere(entry)
            elif entry.owner != self._life.owner:
                progress = self._owners.progress(entry.owner, entry.task_id)
                if progress is not None:
                    self._life.table.advance(entry, progress)
        for task_id, file in todo.items():
            entry_or_none = self._life.table.get(task_id)
            if entry_or_none is None and time.time() - file.modified_at > _STALE_TODO_S:
                await self._life.archive.done("tasks", task_id)  # its submitter died before it was accepted

    async def _ended_elsewhere(self, entry: TaskEntry) -> None:
        end = await self._life.archive.end(entry.task_id)
        if end is not None and not entry.snapshot.status.is_terminal:
            self._life.table.finish(entry, end)
            self._attempts.stop(entry.task_id)

    async def _take_over(self) -> None:
        """The unfinished tasks, and the ends not yet dealt with, of trackers that fell silent."""
        for entry in self._life.table.active():
            if entry.owner != self._life.owner and self._owners.is_silent(entry.owner):
                log.warning("task taken over", extra={"task_id": entry.task_id, "from_owner": entry.owner})
                entry.owner = self._life.owner
                self._attempts.enqueue(entry)
        for task_id in self._known_todo:
            ended = self._life.table.get(task_id)
            ended_at = ended.snapshot.completed_at if ended else None
            if ended is not None and ended_at is not None and time.time() - ended_at > self._config.lease_s:
                self._redo_end(ended)
        busy = {entry.owner for entry in self._life.table.active()}
        for owner in self._owners.others():
            if owner not in busy and self._owners.is_silent(owner):
                await self._owners.forget(owner)

    def _redo_end(self, entry: TaskEntry) -> None:
        """Its end is published, but its marker is still there: somebody died between the two."""
        if not self._is_ours(entry):
            return
        entry.owner = self._life.owner
        self._life.background.spawn(self._after_end(entry))

    async def _after_end(self, entry: TaskEntry) -> None:
        end = await self._life.archive.end(entry.task_id)
        if end is not None:
            await self._life.after_end(entry.record, end)

    def _forget_old(self) -> None:
        """Ended tasks leave the memory when their record leaves the archive, or when there are too many."""
        ended = [entry for entry in self._life.table if entry.snapshot.completed_at is not None]
        ended.sort(key=lambda entry: entry.snapshot.completed_at or 0.0)
        excess = len(ended) - self._config.max_remembered
        oldest = time.time() - 2 * self._config.retention_s
        for number, entry in enumerate(ended):
            if number < excess or (entry.snapshot.completed_at or 0.0) < oldest:
                self._life.table.forget(entry.task_id)
