"""Batches: tasks that are followed, cancelled and told about together. A batch has no state but its tasks'."""

import asyncio

from deployments.callbacks import Callbacks, Message
from deployments.errors import BatchNotFound
from deployments.owners import OwnerBook
from deployments.task_archive import BatchRecord, TaskArchive
from deployments.task_life import TaskLife
from deployments.tasks import BatchSnapshot, TaskSnapshot
from deployments.webhooks import Body, batch_body


class Batches:
    def __init__(self, archive: TaskArchive, life: TaskLife, callbacks: Callbacks, owners: OwnerBook) -> None:
        self._archive = archive
        self._life = life
        self._callbacks = callbacks
        self._owners = owners
        self._records: dict[str, BatchRecord] = {}
        self._todo: set[str] = set()

    def add(self, record: BatchRecord) -> None:
        self._records[record.submission.batch_id] = record
        self._todo.add(record.submission.batch_id)

    async def record(self, batch_id: str) -> BatchRecord | None:
        """A cached record is good for ever: it never changes."""
        record = self._records.get(batch_id) or await self._archive.batch(batch_id)
        if record is not None:
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
            self._records.pop(batch_id, None)
            raise BatchNotFound(f"Batch {batch_id} was deleted when its retention ended.")
        return BatchSnapshot(batch_id, record.created_at, record.submission.client, tasks)

    def task_ended(self, batch_id: str | None) -> None:
        """A task of ours ended: its batch may have, too."""
        if batch_id is not None:
            self._life.background.spawn(self._settle(batch_id))

    async def sync(self) -> None:
        """What a crash left unsettled, ours or of trackers that are silent."""
        self._todo = set(await self._archive.todo("batches"))
        await asyncio.gather(*(self._settle(batch_id) for batch_id in self._todo))

    async def _settle(self, batch_id: str) -> None:
        record = await self.record(batch_id)
        if batch_id not in self._todo or record is None:
            return
        if record.owner != self._life.owner and not self._owners.is_silent(record.owner):
            return
        batch = await self.snapshot(batch_id, 1)
        # Fewer tasks than were submitted: the submission is still going on, or broke off and is repeated.
        if not batch.ended or len(batch.tasks) < len(record.submission.task_ids):
            return
        self._todo.discard(batch_id)
        url = record.submission.callback_url
        if url is None:
            await self._archive.done("batches", batch_id)
            return

        async def body() -> Body:
            return batch_body(batch)

        self._callbacks.start(Message("batches", batch_id, f"batches/{batch_id}", url, body))
