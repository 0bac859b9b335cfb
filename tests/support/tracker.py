"""A tracker as a plain class on a real archive; replicas and the callback's receiver are played by the test."""

import asyncio
import contextlib
import json
import time

from deployments.archive_store import open_store
from deployments.config import TrackerConfig
from deployments.errors import TaskNotFound
from deployments.protocol import ReplicaReport, TaskEnd, TaskOrder
from deployments.task_archive import TaskArchive
from deployments.task_tracker import TaskTracker
from deployments.tasks import BatchSnapshot, BatchSubmission, TaskInput, TaskSnapshot, TaskStatus, TaskSubmission
from deployments.webhooks import Body
from models.geometry import Rect
from models.job import InpaintJob, JobStats
from tests.support.counted import Counted

STATS = JobStats("image/png", 4, 4, 1, 16, 0.1, "fake", "Auto")
JOB = InpaintJob((Rect(0, 0, 4, 4),))
Order = tuple[TaskOrder, asyncio.Future[None]]


def submission(task_id: str, digest: str = "d", callback: str | None = None, client: str = "") -> TaskSubmission:
    return TaskSubmission(task_id, 1, digest, callback, client=client)


class Bench:
    """A tracker, with the calls that it dispatched waiting to be answered by the test."""

    def __init__(self, url: str, owner: str = "me", **config: object) -> None:
        self.archive = TaskArchive(open_store(url))
        self.orders: asyncio.Queue[Order] = asyncio.Queue()
        self.sent: list[dict[str, object]] = []
        self.taken = True
        self.metrics = Counted()
        self.introductions: asyncio.Queue[ReplicaReport] = asyncio.Queue()
        """What replicas say when one is asked to introduce itself; the call waits for it."""
        settings = TrackerConfig(archive_url=url, version="t", **config)  # type: ignore[arg-type]
        self.tracker = TaskTracker(
            settings, self.archive, owner, self._dispatch, self._introduce, self._send, self.metrics
        )

    async def _dispatch(self, order: TaskOrder, model: str | None) -> None:
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self.orders.put((order, reply))
        await reply

    async def _introduce(self) -> ReplicaReport:
        return await self.introductions.get()

    async def _send(self, url: str, message_id: str, body: Body) -> tuple[bool, str]:
        data = b"".join([piece async for piece in body.pieces()])
        assert len(data) == body.length
        self.sent.append({"url": url, "id": message_id} | json.loads(data))
        return self.taken, "HTTP 200" if self.taken else "HTTP 500"

    async def submit(
        self, task_id: str, digest: str = "d", callback: str | None = None, client: str = "", priority: int = 0
    ) -> bool:
        await self.archive.put_input(task_id, digest, TaskInput(JOB, b"image"))
        given = TaskSubmission(task_id, 1, digest, callback, client=client, priority=priority, input_name=digest)
        return (await self.tracker.submit(given))[1]

    async def submit_batch(self, batch_id: str, count: int, callback: str | None = None) -> tuple[BatchSnapshot, bool]:
        ids = tuple(f"{batch_id}.{number}" for number in range(count))
        for task_id in ids:
            await self.archive.put_input(task_id, "d", TaskInput(JOB, b"image"))
        tasks = tuple(TaskSubmission(task_id, 1, "d", batch_id=batch_id, input_name="d") for task_id in ids)
        return await self.tracker.submit_batch(BatchSubmission(batch_id, ids, "d", callback), tasks)

    async def order(self, timeout_s: float = 10.0) -> Order:
        return await asyncio.wait_for(self.orders.get(), timeout_s)

    async def complete(self, order: TaskOrder, reply: asyncio.Future[None], data: bytes = b"picture") -> None:
        await self.archive.put_result(order.task_id, order.attempt, data)
        now = time.time()
        await self.tracker.finish(
            TaskEnd(
                order.task_id, TaskStatus.COMPLETED, order.attempt, now, now - 1, stats=STATS, result_bytes=len(data)
            )
        )
        if not reply.done():
            reply.set_result(None)

    async def status(self, task_id: str) -> TaskStatus:
        return (await self.tracker.snapshot(task_id)).status

    async def until(self, task_id: str, status: TaskStatus, timeout_s: float = 5.0) -> TaskSnapshot:
        """The task's snapshot once it has that status."""
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(TaskNotFound):
                    if await self.status(task_id) is status:
                        return await self.tracker.snapshot(task_id)
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """As if it were killed: nothing more is written."""
        tasks = list(self.tracker._background.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
