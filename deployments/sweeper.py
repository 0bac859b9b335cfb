"""Retention: what is old, or too much, leaves the archive. Judged by a listing alone; no file is read."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

from deployments.archive_store import StoredFile
from deployments.task_archive import TaskArchive

_ORPHAN_S = 3600.0


@dataclass(slots=True)
class _Task:
    results: list[StoredFile] = field(default_factory=list)
    others: list[StoredFile] = field(default_factory=list)
    ended_at: float | None = None
    has_record: bool = False

    @property
    def newest_at(self) -> float:
        return max(file.modified_at for file in (*self.results, *self.others))


class Sweeper:
    """Deletes results after one retention, every trace of an ended task after two, inputs that no record followed
    after an hour, and the oldest results when all files together exceed ``max_bytes`` (0: no bound)."""

    def __init__(self, archive: TaskArchive, retention_s: float, max_bytes: int) -> None:
        self._archive = archive
        self._retention_s = retention_s
        self._max_bytes = max_bytes
        self._wake = asyncio.Event()
        self._written = 0

    def wrote(self, size: int) -> None:
        """A result was stored; a twentieth of the bound calls for a look before its time."""
        self._written += size
        if self._max_bytes and self._written > self._max_bytes / 20:
            self._wake.set()

    async def turn(self) -> None:
        """One sweep, and the wait until the next one is due."""
        self._wake.clear()
        self._written = 0
        await self.sweep(time.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(1.0, min(600.0, self._retention_s / 10))):
                await self._wake.wait()

    async def sweep(self, now: float) -> None:
        tasks, total = await self._tasks()
        gone: list[StoredFile] = []
        kept: list[tuple[float, StoredFile]] = []
        for task in tasks.values():
            if task.ended_at is None:
                if not task.has_record and now - task.newest_at > _ORPHAN_S:
                    gone += task.others + task.results
            elif now - task.ended_at > 2 * self._retention_s:
                gone += task.others + task.results
            elif now - task.ended_at > self._retention_s:
                gone += task.results
            else:
                kept += [(task.ended_at, file) for file in task.results]
        gone += self._too_much(total - sum(file.size for file in gone), kept)
        gone += await self._old_batches(now)
        await self._archive.delete_paths([file.path for file in gone])

    def _too_much(self, total: int, kept: list[tuple[float, StoredFile]]) -> list[StoredFile]:
        gone = []
        for _, file in sorted(kept, key=lambda pair: pair[0]):
            if not self._max_bytes or total <= self._max_bytes:
                break
            gone.append(file)
            total -= file.size
        return gone

    async def _tasks(self) -> tuple[dict[str, _Task], int]:
        tasks: dict[str, _Task] = {}
        total = 0
        async for file in self._archive.files("tasks"):
            total += file.size
            _, task_id, name = file.path.split("/", 2)
            task = tasks.setdefault(task_id, _Task())
            (task.results if name.startswith("result-") else task.others).append(file)
            if name == "end.json":
                task.ended_at = file.modified_at
            elif name == "record.json":
                task.has_record = True
        return tasks, total

    async def _old_batches(self, now: float) -> list[StoredFile]:
        """A batch has no end of its own; its tasks' last end is never later than a task may live."""
        busy = await self._archive.todo("batches")
        newest: dict[str, float] = {}
        files = [file async for file in self._archive.files("batches")]
        for file in files:
            batch_id = file.path.split("/")[1]
            newest[batch_id] = max(newest.get(batch_id, 0.0), file.modified_at)
        old = {b for b, at in newest.items() if b not in busy and now - at > 2 * self._retention_s}
        return [file for file in files if file.path.split("/")[1] in old]
