"""``TaskService`` as one client may see it: what belongs to another does not exist."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self

from starlette.requests import HTTPConnection

from deployments.errors import BatchNotFound, TaskConflict, TaskNotFound
from deployments.tasks import (
    BatchSnapshot,
    BatchSubmission,
    Delivery,
    ServiceState,
    StoredResult,
    TaskCounts,
    TaskInput,
    TaskSnapshot,
    TaskSubmission,
)
from ingress.services import TaskService, Watch


def visible(tasks: TaskService, connection: HTTPConnection) -> TaskService:
    """All tasks while there are no keys, else those of the connection's key."""
    owner = connection.scope.get("state", {}).get("client")
    return tasks if owner is None else OwnTasks(tasks, owner)


class OwnTasks:
    """The sentences are the tracker's own: whether a task exists that belongs to another cannot be told."""

    def __init__(self, tasks: TaskService, owner: str) -> None:
        self._tasks = tasks
        self._owner = owner

    async def submit(self, submission: TaskSubmission, given: TaskInput) -> tuple[TaskSnapshot, bool]:
        snapshot, new = await self._tasks.submit(submission, given)
        if snapshot.client != self._owner:
            raise TaskConflict(
                f"task_id {submission.task_id} is in use for other content. Choose another, or leave it out."
            )
        return snapshot, new

    async def get(self, task_id: str) -> TaskSnapshot:
        snapshot = await self._tasks.get(task_id)
        if snapshot.client != self._owner:
            raise TaskNotFound(f"There is no task {task_id}. It may have been deleted when its retention ended.")
        return snapshot

    async def cancel(self, task_id: str) -> TaskSnapshot:
        await self.get(task_id)
        return await self._tasks.cancel(task_id)

    async def submit_batch(
        self, batch: BatchSubmission, items: Sequence[tuple[TaskSubmission, TaskInput]]
    ) -> tuple[BatchSnapshot, bool]:
        snapshot, new = await self._tasks.submit_batch(batch, items)
        if snapshot.client != self._owner:
            raise TaskConflict(f"batch_id {batch.batch_id} is in use for other content. Choose another.")
        return snapshot, new

    async def delete(self, task_id: str) -> None:
        await self.get(task_id)
        await self._tasks.delete(task_id)

    async def deliveries(self, task_id: str) -> list[Delivery]:
        await self.get(task_id)
        return await self._tasks.deliveries(task_id)

    async def redeliver(self, task_id: str) -> list[Delivery]:
        await self.get(task_id)
        return await self._tasks.redeliver(task_id)

    async def batch(self, batch_id: str) -> BatchSnapshot:
        snapshot = await self._tasks.batch(batch_id)
        if snapshot.client != self._owner:
            raise BatchNotFound(f"There is no batch {batch_id}. It may have been deleted when its retention ended.")
        return snapshot

    async def cancel_batch(self, batch_id: str) -> BatchSnapshot:
        await self.batch(batch_id)
        return await self._tasks.cancel_batch(batch_id)

    def batch_results(self, batch: BatchSnapshot) -> AsyncIterator[tuple[TaskSnapshot, StoredResult | None]]:
        return self._tasks.batch_results(batch)

    async def counts(self, client: str | None = None) -> TaskCounts:
        return await self._tasks.counts(self._owner)

    async def result(self, task_id: str) -> StoredResult:
        await self.get(task_id)
        return await self._tasks.result(task_id)

    async def state(self) -> ServiceState:
        return await self._tasks.state()

    def watch(self) -> "OwnWatch":
        return OwnWatch(self._tasks.watch(), self._owner)


class OwnWatch:
    """Changes of own tasks only, whatever is followed."""

    def __init__(self, watch: Watch, owner: str) -> None:
        self._watch = watch
        self._owner = owner

    async def __aenter__(self) -> Self:
        await self._watch.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._watch.__aexit__(kind, error, trace)

    def add(self, task_id: str) -> None:
        self._watch.add(task_id)

    def remove(self, task_id: str) -> None:
        self._watch.remove(task_id)

    def follow_all(self, on: bool) -> None:
        self._watch.follow_all(on)

    async def changes(self, timeout_s: float) -> list[TaskSnapshot]:
        return [one for one in await self._watch.changes(timeout_s) if one.client == self._owner]
