"""Batches: tasks that are followed, cancelled and told about together. A batch has no state but its tasks'."""

import asyncio
import time

from deployments.callbacks import Callbacks, Message
from deployments.errors import BatchNotFound
from deployments.owners import OwnerBook
from deployments.task_archive import BatchRecord, TaskArchive
from deployments.task_life import TaskLife
from deployments.tasks import BatchSnapshot, TaskSnapshot
from deployments.webhooks import Body, batch_body

_SUBMITTED_S = 3600.0
"""After so long a submission that broke off is not repeated any more."""


class Batches:
    def __init__(
        self, archive: TaskArchive, life: TaskLife, callbacks: Callbacks, owners: OwnerBook, retention_s: float
    ) -> None:
        self._archive = archive
        self._life = life
        self._callbacks = callbacks
        self._owners = owners
        self._retention_s = retention_s
        self._records: dict[str, BatchRecord] = {}
        self._todo: set[str] = set()
        self._whole: set[str] = set()
        """Of which all tasks were accepted here."""

    def begin(self, record: BatchRecord) -> None:
        """Its tasks are being accepted."""
        self._records[record.submission.batch_id] = record
        self._todo.add(record.submission.batch_id)

    def accepted(self, batch_id: str) -> None:
        """All of its tasks are: one that is not there any more was deleted."""
        self._whole.add(batch_id)
        self.task_ended(batch_id)

    async def record(self, batch_id: str) -> BatchRecord | None:
        """A record never changes, and stays in the archive for its retention at least."""
        record = self._records.get(batch_id)
        if record is None or self._is_old(record, self._retention_s):
            record = await self._archive.batch(batch_id)
        if record is None:
            self._records.pop(batch_id, None)
        else:
            self._records[batch_id] = record
        return record

    async def snapshot(self, batch_id: str, slots: int) -> BatchSnapshot:
        record = await self.record(batch_id)
        if record is None:
            raise BatchNotFound(f"There is no batch {batch_id}. It may have been deleted when its retention ended.")
        entries = await self._life.load_all(record.submission.task_ids)
        for entry in entries:
            if entry.owner != self._life.owner:
                await self._life.refresh(entry)
        tasks: tuple[TaskSnapshot, ...] = tuple(self._life.table.snapshot(entry, slots) for entry in entries)
        if not tasks:
            raise BatchNotFound(f"Batch {batch_id} was deleted when its retention ended.")
        return BatchSnapshot(batch_id, record.created_at, record.submission.client, tasks)

    def task_ended(self, batch_id: str | None) -> None:
        """A task of ours ended: its batch may have, too."""
        if batch_id is not None:
            self._life.background.spawn(self._settle(batch_id))

    async def sync(self) -> None:
        """What a crash left unsettled, ours or of trackers that are silent."""
        self._todo = set(await self._archive.todo("batches"))
        old = [name for name, record in self._records.items() if self._is_old(record, self._retention_s)]
        for batch_id in old:
            del self._records[batch_id]
        await asyncio.gather(*(self._settle(batch_id) for batch_id in self._todo))

    async def _settle(self, batch_id: str) -> None:
        record = await self.record(batch_id)
        if batch_id not in self._todo or record is None:
            return
        if record.owner != self._life.owner and not self._owners.is_silent(record.owner):
            return
        # Fewer tasks than were submitted: the submission is still going on, or broke off and is repeated.
        whole = batch_id in self._whole or self._is_old(record, _SUBMITTED_S)
        try:
            batch = await self.snapshot(batch_id, 1)
        except BatchNotFound:
            if whole:
                await self._close(batch_id)
            return
        if not batch.ended or (len(batch.tasks) < len(record.submission.task_ids) and not whole):
            return
        self._todo.discard(batch_id)
        url = record.submission.callback_url
        if url is None:
            await self._close(batch_id)
            return

        async def body() -> Body:
            return batch_body(batch)

        self._callbacks.start(Message("batches", batch_id, f"batches/{batch_id}", url, body))

    async def _close(self, batch_id: str) -> None:
        self._todo.discard(batch_id)
        self._whole.discard(batch_id)
        await self._archive.done("batches", batch_id)

    @staticmethod
    def _is_old(record: BatchRecord, age_s: float) -> bool:
        return time.time() - record.created_at > age_s
