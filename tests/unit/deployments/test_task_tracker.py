"""The tracker as a plain class on a real archive in a folder; replicas are played by the test."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.config import TrackerConfig
from deployments.errors import QueueFull, TaskConflict, TaskFinished, TaskNotFound
from deployments.progress import UnitProgress
from deployments.protocol import AttemptReport, EngineReport, ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive, TaskRecord, open_store
from deployments.task_tracker import TaskTracker
from deployments.tasks import Stage, TaskStatus, TaskSubmission
from models.geometry import Rect
from models.job import InpaintJob, JobStats

STATS = JobStats("image/png", 4, 4, 1, 16, 0.1, "fake", "Auto")


def submission(task_id: str, digest: str = "d", callback: str | None = None) -> TaskSubmission:
    return TaskSubmission(task_id, InpaintJob((Rect(0, 0, 4, 4),)), 1, digest, callback)


class Bench:
    """A tracker, with the calls that it dispatched waiting to be answered by the test."""

    def __init__(self, folder: Path, **config: object) -> None:
        self.archive = TaskArchive(open_store(str(folder)))
        self.orders: asyncio.Queue[tuple[TaskOrder, asyncio.Future[None]]] = asyncio.Queue()
        self.delivered: list[TaskEnd] = []
        settings = TrackerConfig(archive_url=str(folder), version="t", **config)  # type: ignore[arg-type]
        self.tracker = TaskTracker(settings, self.archive, self._dispatch, self._deliver)

    async def _dispatch(self, order: TaskOrder) -> None:
        reply: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self.orders.put((order, reply))
        await reply

    async def _deliver(self, record: TaskRecord, end: TaskEnd) -> None:
        self.delivered.append(end)

    async def submit(self, task_id: str, digest: str = "d", callback: str | None = None) -> bool:
        await self.archive.put_input(task_id, b"image", None)
        return (await self.tracker.submit(submission(task_id, digest, callback)))[1]

    async def order(self) -> tuple[TaskOrder, asyncio.Future[None]]:
        return await asyncio.wait_for(self.orders.get(), 10)

    async def complete(self, order: TaskOrder, reply: asyncio.Future[None]) -> None:
        await self.archive.put_result(order.task_id, order.attempt, b"picture")
        now = time.time()
        await self.tracker.finish(
            TaskEnd(order.task_id, TaskStatus.COMPLETED, order.attempt, now, now - 1, stats=STATS)
        )
        if not reply.done():
            reply.set_result(None)

    async def status(self, task_id: str) -> TaskStatus:
        return (await self.tracker.snapshot(task_id)).status

    async def close(self) -> None:
        tasks = list(self.tracker._background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.close()


async def test_a_task_runs_to_its_end_and_its_result_is_readable(bench: Bench) -> None:
    assert await bench.submit("a", callback="http://x.example/")
    order, reply = await bench.order()
    assert await bench.tracker.begin(order) is Verdict.CONTINUE
    assert await bench.status("a") is TaskStatus.PREPARING
    version, _ = await bench.tracker.changes(-1, 0)
    await bench.complete(order, reply)
    _, changed = await bench.tracker.changes(version, 1)
    assert [s.status for s in changed] == [TaskStatus.COMPLETED]
    end = await bench.archive.end("a")
    assert end is not None
    assert (await bench.archive.result(end)).data == b"picture"
    await asyncio.sleep(0.05)
    assert [e.status for e in bench.delivered] == [TaskStatus.COMPLETED]


async def test_submitting_again_is_the_same_task_or_a_conflict(bench: Bench) -> None:
    assert await bench.submit("a") is True
    assert await bench.submit("a") is False
    with pytest.raises(TaskConflict, match="a"):
        await bench.submit("a", digest="other")


async def test_progress_never_falls_and_a_stale_attempt_is_told_to_stop(bench: Bench) -> None:
    await bench.submit("a")
    order, reply = await bench.order()
    far = UnitProgress(Stage.INPAINTING, 3, 4, 3, 4)
    replica = ReplicaReport("r", EngineReport("fake", "cpu", "fake", "ready"), (AttemptReport(order, far),))
    assert await bench.tracker.report(replica) == {"a": Verdict.CONTINUE}
    before = (await bench.tracker.snapshot("a")).overall_progress
    reply.set_exception(RuntimeError("killed"))
    again, second = await bench.order()
    assert again == replace(order, attempt=2)
    await bench.tracker.begin(again)
    assert (await bench.tracker.snapshot("a")).overall_progress >= before > 50
    assert await bench.tracker.begin(order) is Verdict.STOP
    await bench.complete(order, second)  # the first attempt was not dead after all: too late
    assert not (await bench.status("a")).is_terminal


async def test_three_deaths_end_a_task_in_error(bench: Bench) -> None:
    await bench.submit("a")
    for _ in range(3):
        _, reply = await bench.order()
        reply.set_exception(RuntimeError("killed"))
    for _ in range(100):
        if await bench.status("a") is TaskStatus.ERROR:
            break
        await asyncio.sleep(0.02)
    snapshot = await bench.tracker.snapshot("a")
    assert (snapshot.status, snapshot.error_code) == (TaskStatus.ERROR, "replica_died")
    assert "3 times" in (snapshot.error_message or "")


async def test_cancelled_stays_cancelled(bench: Bench) -> None:
    await bench.submit("a")
    order, reply = await bench.order()
    await bench.tracker.begin(order)
    snapshot = await bench.tracker.cancel("a")
    assert snapshot.status is TaskStatus.CANCELLED
    await asyncio.sleep(0.05)
    assert reply.cancelled(), "the replica's call was not taken back"
    await bench.complete(order, reply)
    assert await bench.status("a") is TaskStatus.CANCELLED
    assert (await bench.tracker.cancel("a")).status is TaskStatus.CANCELLED


async def test_a_completed_task_cannot_be_cancelled(bench: Bench) -> None:
    await bench.submit("a")
    await bench.complete(*await bench.order())
    with pytest.raises(TaskFinished, match="completed"):
        await bench.tracker.cancel("a")


async def test_unknown(bench: Bench) -> None:
    with pytest.raises(TaskNotFound):
        await bench.tracker.snapshot("nope")


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_queued=2)
    for number in range(4):  # without replicas two are dispatched, to wake a service scaled to zero
        await bench.submit(f"t{number}")
        await asyncio.sleep(0.05)
    with pytest.raises(QueueFull) as caught:
        await bench.submit("one-more")
    assert caught.value.details["retry_after_s"] >= 1
    await bench.close()


async def test_a_new_tracker_finds_everything_in_the_archive(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    await first.submit("done")
    await first.complete(*await first.order())
    await first.submit("running")
    order, _ = await first.order()
    await first.submit("waiting")
    await first.close()

    second = Bench(tmp_path, lease_s=0.2)
    assert await second.status("done") is TaskStatus.COMPLETED
    attempts = {}
    for _ in range(2):
        again, reply = await second.order()
        attempts[again.task_id] = again.attempt
        await second.complete(again, reply)
    assert attempts["running"] == order.attempt + 1
    assert {await second.status(t) for t in ("running", "waiting")} == {TaskStatus.COMPLETED}
    await second.close()


async def test_an_attempt_that_outlives_the_tracker_is_adopted(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    await first.submit("a")
    order, reply = await first.order()
    await first.close()
    second = Bench(tmp_path)
    assert await second.tracker.begin(order) is Verdict.CONTINUE
    await second.complete(order, reply)
    assert await second.status("a") is TaskStatus.COMPLETED
    assert second.orders.empty()
    await second.close()


async def test_the_first_end_in_the_archive_stands(bench: Bench) -> None:
    await bench.submit("a")
    order, reply = await bench.order()
    await bench.archive.create_end(TaskEnd("a", TaskStatus.CANCELLED, order.attempt, time.time()))
    await bench.complete(order, reply)
    assert await bench.status("a") is TaskStatus.CANCELLED
