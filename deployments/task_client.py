"""The typed facade of the tracker actor: the only caller of its ``.remote()``, for replicas and for ingress."""

import asyncio
import contextlib
import contextvars
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ray.exceptions import RayError, RayTaskError

from deployments.errors import ResultExpired, ResultNotReady, ServiceUnavailable
from deployments.protocol import ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive
from deployments.task_watch import TaskWatch
from deployments.tasks import (
    BatchSnapshot,
    BatchSubmission,
    Changes,
    Delivery,
    ServiceState,
    StoredResult,
    TaskCounts,
    TaskInput,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from models.errors import TextRemovalError

log = logging.getLogger("ray.serve")

POLL_S = 10.0
_STATE_S = 0.5

T = TypeVar("T")


async def call(remote: Awaitable[T]) -> T:
    """Await an actor's answer; its errors come back as the family's own, a dead actor as 'not available'."""
    try:
        return await remote
    except RayTaskError as error:
        if isinstance(error.cause, TextRemovalError):
            raise error.cause from None
        raise
    except RayError as error:
        log.warning("task tracker unreachable", extra={"why": type(error).__name__})
        raise ServiceUnavailable("The task tracker is restarting. Try again in a moment.", retry_after_s=2) from None


class TrackerLink(Protocol):
    """What a replica tells the tracker."""

    async def begin(self, order: TaskOrder) -> Verdict: ...
    async def finish(self, end: TaskEnd) -> None: ...
    async def report(self, report: ReplicaReport) -> dict[str, Verdict]: ...
    async def forget_replica(self, replica_id: str) -> None: ...


class ActorLink:
    """``TrackerLink`` over the actor's handle."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def begin(self, order: TaskOrder) -> Verdict:
        return Verdict(await call(self._actor.begin.remote(order)))

    async def finish(self, end: TaskEnd) -> None:
        await call(self._actor.finish.remote(end))

    async def report(self, report: ReplicaReport) -> dict[str, Verdict]:
        try:
            verdicts: dict[str, Verdict] = await call(self._actor.report.remote(report))
        except ServiceUnavailable:
            return {}  # the next heartbeat tries again
        return verdicts

    async def forget_replica(self, replica_id: str) -> None:
        self._actor.forget_replica.remote(replica_id)


class ActorLinks:
    """Links by the name of the actor: our own code's, and those of other code that replicas meet during an update."""

    def __init__(self, own_name: str, own: ActorLink, look_up: Callable[[str], Any]) -> None:
        self._links = {"": own, own_name: own}
        self._look_up = look_up

    def __call__(self, name: str) -> ActorLink:
        """Raises ``ServiceUnavailable`` where no such actor lives."""
        if name not in self._links:
            try:
                self._links[name] = ActorLink(self._look_up(name))
            except ValueError as error:
                raise ServiceUnavailable("The task tracker that sent this task is gone.", retry_after_s=5) from error
        return self._links[name]


class TaskClient:
    """``TaskService`` for the ingress: writes inputs, asks the actor, reads results, fans changes out to watchers."""

    def __init__(self, actor: Any, archive: TaskArchive) -> None:
        self._actor = actor
        self._archive = archive
        self._watches: set[TaskWatch] = set()
        self._feed: asyncio.Task[None] | None = None
        self._asked: asyncio.Task[tuple[float, ServiceState]] | None = None

    async def submit(self, submission: TaskSubmission, given: TaskInput) -> tuple[TaskSnapshot, bool]:
        """See ``ingress.services.TaskService``."""
        named = await self._store(submission, given)
        async with self._unless_refused([named]):
            snapshot, new = await call(self._actor.submit.remote(named))
        if not new:
            await self._discard(named)
        return snapshot, new

    async def submit_batch(
        self, batch: BatchSubmission, items: Sequence[tuple[TaskSubmission, TaskInput]]
    ) -> tuple[BatchSnapshot, bool]:
        """See ``ingress.services.TaskService``."""
        named: list[TaskSubmission] = []
        async with self._unless_refused(named):
            for submission, given in items:
                named.append(await self._store(submission, given))
            snapshot, new = await call(self._actor.submit_batch.remote(batch, tuple(named)))
        if not new:
            for submission in named:
                await self._discard(submission)
        return snapshot, new

    async def _store(self, submission: TaskSubmission, given: TaskInput) -> TaskSubmission:
        # Before the record, so that an accepted task always has its input.
        named = replace(submission, input_name=uuid.uuid4().hex)
        await self._archive.put_input(named.task_id, named.input_name, given)
        return named

    @contextlib.asynccontextmanager
    async def _unless_refused(self, submissions: Sequence[TaskSubmission]) -> AsyncIterator[None]:
        """What a refused call stored goes again."""
        try:
            yield
        except ServiceUnavailable:
            raise  # it may be accepted yet: the input stays, and is swept if no record follows
        except TextRemovalError:
            for submission in submissions:
                await self._discard(submission)
            raise

    async def _discard(self, submission: TaskSubmission) -> None:
        """An input that no record names: its task was refused, or had been accepted before."""
        record = await self._archive.record(submission.task_id)
        if record is None or record.submission.input_name != submission.input_name:
            await self._archive.delete_input(submission.task_id, submission.input_name)

    async def get(self, task_id: str) -> TaskSnapshot:
        snapshot: TaskSnapshot = await call(self._actor.snapshot.remote(task_id))
        return snapshot

    async def cancel(self, task_id: str) -> TaskSnapshot:
        snapshot: TaskSnapshot = await call(self._actor.cancel.remote(task_id))
        return snapshot

    async def delete(self, task_id: str) -> None:
        await call(self._actor.delete.remote(task_id))

    async def deliveries(self, task_id: str) -> list[Delivery]:
        found: list[Delivery] = await call(self._actor.deliveries.remote(task_id))
        return found

    async def redeliver(self, task_id: str) -> list[Delivery]:
        found: list[Delivery] = await call(self._actor.redeliver.remote(task_id))
        return found

    async def batch(self, batch_id: str) -> BatchSnapshot:
        batch: BatchSnapshot = await call(self._actor.batch.remote(batch_id))
        return batch

    async def cancel_batch(self, batch_id: str) -> BatchSnapshot:
        batch: BatchSnapshot = await call(self._actor.cancel_batch.remote(batch_id))
        return batch

    async def batch_results(self, batch: BatchSnapshot) -> AsyncIterator[tuple[TaskSnapshot, StoredResult | None]]:
        """The tasks of an ended batch in order, one result at a time; None where there is none."""
        for task in batch.tasks:
            end = await self._archive.end(task.task_id)
            try:
                yield task, None if end is None else await self._archive.result(end)
            except ResultExpired:
                yield task, None

    async def counts(self, client: str | None = None) -> TaskCounts:
        counts: TaskCounts = await call(self._actor.counts.remote(client))
        return counts

    async def state(self) -> ServiceState:
        """At most ``_STATE_S`` old: however many ask, the tracker is asked once, and who asks under load waits for no
        queue but this process's own."""
        if self._asked is None or (self._asked.done() and self._is_old(self._asked)):
            # An empty context: the answer is not only for the request that happened to ask.
            self._asked = asyncio.get_running_loop().create_task(self._ask_state(), context=contextvars.Context())
        return (await asyncio.shield(self._asked))[1]

    async def _ask_state(self) -> tuple[float, ServiceState]:
        state: ServiceState = await call(self._actor.state.remote())
        return time.monotonic(), state

    @staticmethod
    def _is_old(asked: asyncio.Task[tuple[float, ServiceState]]) -> bool:
        if asked.cancelled() or asked.exception() is not None:
            return True
        return time.monotonic() - asked.result()[0] > _STATE_S

    async def result(self, task_id: str) -> StoredResult:
        snapshot = await self.get(task_id)
        end = await self._archive.end(task_id)
        if end is None or end.status is not TaskStatus.COMPLETED:
            said = f"ended as {snapshot.status}" if snapshot.status.is_terminal else f"is {snapshot.status}"
            raise ResultNotReady(f"Task {task_id} has no result: it {said}.", status=snapshot.status.value)
        return await self._archive.result(end)

    def watch(self) -> TaskWatch:
        return TaskWatch(self)

    def attach(self, watch: TaskWatch) -> None:
        self._watches.add(watch)
        if self._feed is None or self._feed.done():
            # An empty context: the feed outlives the request that happened to start it.
            self._feed = asyncio.get_running_loop().create_task(self._poll(), context=contextvars.Context())

    def detach(self, watch: TaskWatch) -> None:
        self._watches.discard(watch)

    async def _poll(self) -> None:
        """One long poll for all watchers of this ingress replica; ends when nobody watches."""
        known = Changes("", -1, ())
        while self._watches:
            try:
                news: Changes = await call(self._actor.changes.remote(known.epoch, known.version, POLL_S))
            except ServiceUnavailable:
                await asyncio.sleep(0.5)
                continue
            if news.epoch != known.epoch:
                # Another life of the tracker: what changed between the two was told to nobody.
                for watch in self._watches:
                    watch.ask_again()
            known = news
            for snapshot in news.tasks:
                for watch in self._watches:
                    watch.offer(snapshot)
