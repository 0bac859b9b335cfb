"""The durable truth: inputs, records, attempts, results and ends of tasks, over obstore.

A directory and an object store look the same here. The one primitive that both share is *create if absent*: the first
writer of an end, or of an attempt's claim, wins. Keys::

    tasks/<id>/record.json   tasks/<id>/image   tasks/<id>/mask
    tasks/<id>/attempts/<n>.json   tasks/<id>/result-<n>   tasks/<id>/end.json   tasks/<id>/delivered.json
    owners/<owner>.json
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore, from_url
from pydantic import TypeAdapter

from deployments.errors import ResultExpired, TaskNotFound
from deployments.protocol import TaskEnd
from deployments.tasks import TaskSubmission
from models.job import JobResult


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """An accepted task. ``owner`` names the tracker that accepted it."""

    submission: TaskSubmission
    created_at: float
    owner: str


_RECORD = TypeAdapter(TaskRecord)
_END = TypeAdapter(TaskEnd)


def open_store(url: str) -> ObjectStore:
    """A folder (created when missing) for a plain path or ``file://``; else the store of the URL's scheme."""
    if "://" in url and not url.startswith("file://"):
        return from_url(url)
    return LocalStore(Path(url.removeprefix("file://")), mkdir=True)


class TaskArchive:
    """All reads and writes of task state. Every method may be called from any process of the cluster."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put_input(self, task_id: str, image: bytes, mask: bytes | None) -> None:
        await obstore.put_async(self._store, f"tasks/{task_id}/image", image)
        if mask is not None:
            await obstore.put_async(self._store, f"tasks/{task_id}/mask", mask)

    async def input(self, task_id: str) -> tuple[bytes, bytes | None]:
        image = await self._get(f"tasks/{task_id}/image")
        if image is None:
            raise TaskNotFound(f"The input of task {task_id} is no longer in the archive.")
        return image, await self._get(f"tasks/{task_id}/mask")

    async def create_record(self, record: TaskRecord) -> bool:
        """False when a record of that id exists already."""
        return await self._create(f"tasks/{record.submission.task_id}/record.json", _RECORD.dump_json(record))

    async def record(self, task_id: str) -> TaskRecord | None:
        data = await self._get(f"tasks/{task_id}/record.json")
        return None if data is None else _RECORD.validate_json(data)

    async def claim(self, task_id: str, attempt: int, owner: str) -> bool:
        """Take attempt number ``attempt``; False when someone took it before."""
        claim = json.dumps({"owner": owner}).encode()
        return await self._create(f"tasks/{task_id}/attempts/{attempt}.json", claim)

    async def last_claim(self, task_id: str) -> tuple[int, str | None]:
        """The highest attempt claimed so far (0: none) and its owner."""
        found = await obstore.list(self._store, prefix=f"tasks/{task_id}/attempts").collect_async()
        numbers = [int(item["path"].rsplit("/", 1)[1].removesuffix(".json")) for item in found]
        if not numbers:
            return 0, None
        data = await self._get(f"tasks/{task_id}/attempts/{max(numbers)}.json")
        return max(numbers), json.loads(data)["owner"] if data else None

    async def put_result(self, task_id: str, attempt: int, data: bytes) -> None:
        await obstore.put_async(self._store, f"tasks/{task_id}/result-{attempt}", data)

    async def result(self, end: TaskEnd) -> JobResult:
        data = await self._get(f"tasks/{end.task_id}/result-{end.attempt}")
        if data is None or end.stats is None:
            raise ResultExpired(f"The result of task {end.task_id} was deleted when its retention ended.")
        return JobResult(data, end.stats)

    async def create_end(self, end: TaskEnd) -> bool:
        """Publish the end; False when the task has ended already (the first end stands)."""
        return await self._create(f"tasks/{end.task_id}/end.json", _END.dump_json(end))

    async def end(self, task_id: str) -> TaskEnd | None:
        data = await self._get(f"tasks/{task_id}/end.json")
        return None if data is None else _END.validate_json(data)

    async def mark_delivered(self, task_id: str, note: dict[str, Any]) -> None:
        await obstore.put_async(self._store, f"tasks/{task_id}/delivered.json", json.dumps(note).encode())

    async def delivered(self, task_id: str) -> bool:
        return await self._get(f"tasks/{task_id}/delivered.json") is not None

    async def task_ids(self) -> list[str]:
        found = await obstore.list_with_delimiter_async(self._store, "tasks")
        return sorted(prefix.rsplit("/", 1)[1] for prefix in found["common_prefixes"])

    async def delete_files(self, task_id: str, keep_record: bool) -> None:
        """Delete input and results, and with ``keep_record`` False also every trace of the task."""
        kept = {"record.json", "end.json"} if keep_record else set()
        found = await obstore.list(self._store, prefix=f"tasks/{task_id}").collect_async()
        paths: Sequence[str] = [item["path"] for item in found if item["path"].rsplit("/", 1)[1] not in kept]
        if paths:
            await obstore.delete_async(self._store, paths)

    async def delete_input(self, task_id: str) -> None:
        """The input of an ended task is never read again."""
        await obstore.delete_async(self._store, [f"tasks/{task_id}/image"])
        if await self._get(f"tasks/{task_id}/mask") is not None:
            await obstore.delete_async(self._store, [f"tasks/{task_id}/mask"])

    async def input_age_s(self, task_id: str, now: float) -> float | None:
        """Seconds since the input was written; None when there is none."""
        try:
            meta = await obstore.head_async(self._store, f"tasks/{task_id}/image")
        except FileNotFoundError:
            return None
        return now - meta["last_modified"].timestamp()

    async def touch_owner(self, owner: str, now: float) -> None:
        await obstore.put_async(self._store, f"owners/{owner}.json", json.dumps({"seen": now}).encode())

    async def owner_seen(self, owner: str) -> float:
        data = await self._get(f"owners/{owner}.json")
        return float(json.loads(data)["seen"]) if data else 0.0

    async def _get(self, path: str) -> bytes | None:
        try:
            return bytes(await (await obstore.get_async(self._store, path)).bytes_async())
        except FileNotFoundError:
            return None

    async def _create(self, path: str, data: bytes) -> bool:
        try:
            await obstore.put_async(self._store, path, data, mode="create")
        except AlreadyExistsError:
            return False
        return True
