"""Batches: all or none, told about once, found again after a crash."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployments.errors import BatchNotFound, QueueFull, TaskConflict
from deployments.tasks import BatchSubmission, TaskSubmission
from tests.support.tracker import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(str(tmp_path), sync_s=0.1)
    yield made
    await made.close()


async def finish(bench: Bench, count: int) -> None:
    for _ in range(count):
        await bench.complete(*await bench.order())


async def test_a_batch_runs_to_its_end_and_is_told_about_once(bench: Bench) -> None:
    batch, new = await bench.submit_batch("b", 3, callback="http://x.example/")
    assert (new, batch.status, [task.task_id for task in batch.tasks]) == (True, "pending", ["b.0", "b.1", "b.2"])
    await finish(bench, 2)
    batch = await bench.tracker.batch("b")
    assert (batch.status, batch.counts["completed"], batch.ended) == ("processing", 2, False)
    assert 60 < batch.overall_progress < 70
    assert bench.sent == []
    await finish(bench, 1)
    assert (await bench.tracker.batch("b")).status == "completed"
    await asyncio.sleep(0.4)
    assert [(m["id"], m["batch_id"], m["status"], m["counts"]) for m in bench.sent] == [
        ("msg_b", "b", "completed", (await bench.tracker.batch("b")).counts)
    ]


async def test_submitting_again_is_the_same_batch_or_a_conflict(bench: Bench) -> None:
    await bench.submit_batch("b", 2)
    _, new = await bench.submit_batch("b", 2)
    assert not new
    other = TaskSubmission("b.0", 1, "other", batch_id="b")
    with pytest.raises(TaskConflict):
        await bench.tracker.submit_batch(BatchSubmission("b", ("b.0",), "other"), (other,))


async def test_a_batch_that_does_not_fit_is_refused_whole(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), max_queued=3)
    with pytest.raises(QueueFull):
        await bench.submit_batch("b", 4)
    with pytest.raises(BatchNotFound):
        await bench.tracker.batch("b")
    assert (await bench.tracker.counts()).pending == 0
    await bench.close()


async def test_cancelling_ends_what_has_not_ended(bench: Bench) -> None:
    await bench.submit_batch("b", 3)
    await finish(bench, 1)
    batch = await bench.tracker.cancel_batch("b")
    assert (batch.counts["cancelled"], batch.counts["completed"], batch.status) == (2, 1, "completed_with_errors")
    await bench.submit_batch("c", 2)
    assert (await bench.tracker.cancel_batch("c")).status == "cancelled"


async def test_a_batch_survives_its_tracker(tmp_path: Path) -> None:
    first = Bench(str(tmp_path), "first", lease_s=0.3, sync_s=0.1)
    await first.submit_batch("b", 2, callback="http://x.example/")
    await first.complete(*await first.order())
    await first.close()
    second = Bench(str(tmp_path), "second", lease_s=0.3, sync_s=0.1)
    await second.tracker.counts()
    await finish(second, 1)
    async with asyncio.timeout(5):
        while not second.sent:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert second.sent[0]["status"] == "completed"
    await second.close()
