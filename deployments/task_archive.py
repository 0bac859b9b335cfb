"""The durable truth: inputs, records, attempts, results and ends of tasks, over obstore.

A directory and an object store look the same here. The one primitive that both share is *create if absent*: the first
writer of an end, or of an attempt's claim, wins. Keys::

    tasks/<id>/input-<name>/{job.json,image,mask}   named by its submitter; the record says which counts
    tasks/<id>/record.json   tasks/<id>/attempts/<n>.json   tasks/<id>/result-<n>   tasks/<id>/end.json
    batches/<id>/record.json
    {tasks,batches}/<id>/deliveries/<n>.json
    todo/{tasks,callbacks,batches}/<id>   what is not finished, so that nobody must read all that is
    owners/<owner>.json                   a tracker's heartbeat
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from obstore.store import ObjectStore
from pydantic import TypeAdapter

from deployments.archive_store import ArchiveStore, StoredFile
from deployments.errors import ResultExpired, TaskNotFound
from deployments.protocol import TaskEnd, TaskOrder
from deployments.tasks import BatchSubmission, Delivery, StoredResult, TaskInput, TaskSubmission
from models.job import InpaintJob

Todo = Literal["tasks", "callbacks", "batches"]


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """An accepted task. ``owner`` names the tracker that accepted it."""

    submission: TaskSubmission
    created_at: float
    owner: str


@dataclass(frozen=True, slots=True)
class BatchRecord:
    submission: BatchSubmission
    created_at: float
    owner: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A start of an attempt. ``deaths``: how many attempts before it ended without a word."""

    number: int
    owner: str
    deaths: int


_RECORD = TypeAdapter(TaskRecord)
_BATCH = TypeAdapter(BatchRecord)
_CLAIM = TypeAdapter(Claim)
_END = TypeAdapter(TaskEnd)
_JOB = TypeAdapter(InpaintJob)
_DELIVERY = TypeAdapter(Delivery)


class TaskArchive:
    """All reads and writes of task state. Every method may be called from any process of the cluster, and raises
    ``ArchiveUnavailable`` when the store fails."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = ArchiveStore(store)

    # -- inputs, records, attempts -----------------------------------------------------------------------------------

    async def put_input(self, task_id: str, name: str, given: TaskInput) -> None:
        folder = _input_folder(task_id, name)
        await self._store.put(f"{folder}/image", given.image)
        if given.mask is not None:
            await self._store.put(f"{folder}/mask", given.mask)
        await self._store.put(f"{folder}/job.json", _JOB.dump_json(given.job))

    async def input(self, order: TaskOrder) -> TaskInput:
        folder = _input_folder(order.task_id, order.input_name)
        job, image = await self._store.get(f"{folder}/job.json"), await self._store.get(f"{folder}/image")
        if job is None or image is None:
            raise TaskNotFound(f"The input of task {order.task_id} is no longer in the archive.")
        return TaskInput(_JOB.validate_json(job), image, await self._store.get(f"{folder}/mask"))

    async def delete_input(self, task_id: str, name: str) -> None:
        """The input of an ended task is never read again."""
        await self.delete_prefix(_input_folder(task_id, name))

    async def create_record(self, record: TaskRecord) -> bool:
        """False when a record of that id exists already."""
        task_id = record.submission.task_id
        await self.add_todo("tasks", task_id)  # before the record: a crash between leaves nothing accepted
        return await self._store.create(f"tasks/{task_id}/record.json", _RECORD.dump_json(record))

    async def record(self, task_id: str) -> TaskRecord | None:
        data = await self._store.get(f"tasks/{task_id}/record.json")
        return None if data is None else _RECORD.validate_json(data)

    async def create_batch(self, record: BatchRecord) -> bool:
        batch_id = record.submission.batch_id
        await self.add_todo("batches", batch_id)
        return await self._store.create(f"batches/{batch_id}/record.json", _BATCH.dump_json(record))

    async def batch(self, batch_id: str) -> BatchRecord | None:
        data = await self._store.get(f"batches/{batch_id}/record.json")
        return None if data is None else _BATCH.validate_json(data)

    async def claim(self, task_id: str, claim: Claim) -> bool:
        """Take an attempt; False when someone took that number before."""
        return await self._store.create(f"tasks/{task_id}/attempts/{claim.number}.json", _CLAIM.dump_json(claim))

    async def last_claim(self, task_id: str) -> Claim | None:
        files = [file async for file in self.files(f"tasks/{task_id}/attempts")]
        if not files:
            return None
        newest = max(int(file.path.rsplit("/", 1)[1].removesuffix(".json")) for file in files)
        data = await self._store.get(f"tasks/{task_id}/attempts/{newest}.json")
        return None if data is None else _CLAIM.validate_json(data)

    # -- results and ends --------------------------------------------------------------------------------------------

    async def put_result(self, task_id: str, attempt: int, data: bytes) -> None:
        await self._store.put(f"tasks/{task_id}/result-{attempt}", data)

    async def result(self, end: TaskEnd) -> StoredResult:
        if end.stats is None:
            raise _expired(end)
        return StoredResult(end.stats, *await self.result_stream(end))

    async def result_stream(self, end: TaskEnd) -> tuple[int, AsyncIterator[bytes]]:
        """The size of the result, and its bytes in pieces; for readers that must not hold it."""
        found = await self._store.stream(f"tasks/{end.task_id}/result-{end.attempt}")
        if found is None:
            raise _expired(end)
        return found

    async def create_end(self, end: TaskEnd) -> bool:
        """Publish the end; False when the task has ended already (the first end stands)."""
        return await self._store.create(f"tasks/{end.task_id}/end.json", _END.dump_json(end))

    async def end(self, task_id: str) -> TaskEnd | None:
        data = await self._store.get(f"tasks/{task_id}/end.json")
        return None if data is None else _END.validate_json(data)

    # -- callbacks ---------------------------------------------------------------------------------------------------

    async def add_delivery(self, subject: str, delivery: Delivery) -> None:
        """``subject``: ``tasks/<id>`` or ``batches/<id>``."""
        path = f"{subject}/deliveries/{delivery.number:04}.json"
        await self._store.put(path, _DELIVERY.dump_json(delivery))

    async def deliveries(self, subject: str) -> list[Delivery]:
        paths = sorted([file.path async for file in self.files(f"{subject}/deliveries")])
        found = [await self._store.get(path) for path in paths]
        return [_DELIVERY.validate_json(data) for data in found if data is not None]

    # -- what is to be done, and by whom -----------------------------------------------------------------------------

    async def add_todo(self, kind: Todo, name: str) -> None:
        await self._store.put(f"todo/{kind}/{name}", b"{}")

    async def todo(self, kind: Todo) -> dict[str, StoredFile]:
        return {file.path.rsplit("/", 1)[1]: file async for file in self.files(f"todo/{kind}")}

    async def done(self, kind: Todo, name: str) -> None:
        await self._store.delete([f"todo/{kind}/{name}"])

    async def put_owner(self, owner: str, note: bytes) -> None:
        await self._store.put(f"owners/{owner}.json", note)

    async def owners(self) -> dict[str, dict[str, Any]]:
        """The newest heartbeat of every tracker that uses this archive."""
        found = {}
        for path in [file.path async for file in self.files("owners")]:
            data = await self._store.get(path)
            if data:
                found[path.rsplit("/", 1)[1].removesuffix(".json")] = json.loads(data)
        return found

    async def delete_owner(self, owner: str) -> None:
        await self._store.delete([f"owners/{owner}.json"])

    # -- all of it ---------------------------------------------------------------------------------------------------

    def files(self, prefix: str) -> AsyncIterator[StoredFile]:
        """Everything below a prefix, in pages."""
        return self._store.files(prefix)

    async def delete_prefix(self, prefix: str) -> None:
        await self._store.delete([file.path async for file in self.files(prefix)])

    async def delete_paths(self, paths: Sequence[str]) -> None:
        await self._store.delete(paths)


def _input_folder(task_id: str, name: str) -> str:
    return f"tasks/{task_id}/input-{name}"


def _expired(end: TaskEnd) -> ResultExpired:
    return ResultExpired(f"The result of task {end.task_id} was deleted when its retention ended.")
