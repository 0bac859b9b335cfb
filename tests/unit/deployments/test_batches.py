"""Batches: all or none, told about once, found again after a crash."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployments import batches
from deployments.errors import BatchNotFound, QueueFull, TaskConflict
from deployments.task_archive import BatchRecord
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


async def test_a_batch_with_an_id_that_is_taken_is_refused_whole(bench: Bench) -> None:
    await bench.submit("b.1", digest="other")
    with pytest.raises(TaskConflict, match=r"b\.1"):
        await bench.submit_batch("b", 3)
    with pytest.raises(BatchNotFound):
        await bench.tracker.batch("b")
    assert (await bench.tracker.counts()).active_task_ids == ("b.1",)
    assert await bench.archive.todo("batches") == {}


async def test_a_batch_of_which_a_task_was_deleted_is_told_about(bench: Bench) -> None:
    await bench.submit_batch("b", 2, callback="http://x.example/")
    await finish(bench, 1)
    await asyncio.sleep(0.2)
    await bench.tracker.delete("b.0")
    await finish(bench, 1)
    async with asyncio.timeout(5):
        while not bench.sent:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert bench.sent[0]["status"] == "completed"
    async with asyncio.timeout(5):
        while await bench.archive.todo("batches"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_submission_that_broke_off_is_closed_in_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.tracker.counts()
    record = BatchRecord(BatchSubmission("b", ("b.0", "b.1"), "d", "http://x.example/"), time.time(), "me")
    await bench.archive.create_batch(record)
    await asyncio.sleep(0.3)
    assert set(await bench.archive.todo("batches")) == {"b"}, "it may be repeated yet"
    monkeypatch.setattr(batches, "_SUBMITTED_S", 0.1)
    async with asyncio.timeout(5):
        while await bench.archive.todo("batches"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert bench.sent == []


async def test_a_receiver_that_is_down_is_tried_with_growing_waits(bench: Bench) -> None:
    bench.taken = False
    await bench.submit_batch("b", 1, callback="http://x.example/")
    await finish(bench, 1)
    await asyncio.sleep(1.6)
    assert 1 <= len(bench.sent) <= 2, "each look at what is unsettled began another try"


async def test_an_id_is_free_again_after_its_retention(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), sync_s=0.05, retention_s=0.2)
    await bench.submit_batch("b", 1)
    await finish(bench, 1)
    async with asyncio.timeout(20):
        while await bench.archive.batch("b") or (await bench.tracker.counts()).completed:
            await asyncio.sleep(0.05)
            await bench.tracker._sweeper.sweep(time.time())
    other = TaskSubmission("b.0", 1, "other", batch_id="b", input_name="d")
    _, new = await bench.tracker.submit_batch(BatchSubmission("b", ("b.0",), "other"), (other,))
    assert new
    await bench.close()
