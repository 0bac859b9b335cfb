"""The tracker as a plain class on a real archive in a folder; replicas are played by the test."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.attempts import ReplicaDrained, ReplicaLost
from deployments.errors import TaskConflict, TaskFinished, TaskNotFound, TaskRunning
from deployments.progress import UnitProgress
from deployments.protocol import AttemptReport, EngineReport, ReplicaReport, TaskEnd, Verdict
from deployments.tasks import Stage, TaskStatus
from tests.support.tracker import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(str(tmp_path))
    yield made
    await made.close()


async def test_a_task_runs_to_its_end_and_its_result_is_readable(bench: Bench) -> None:
    assert await bench.submit("a", callback="http://x.example/")
    order, reply = await bench.order()
    assert await bench.tracker.begin(order) is Verdict.CONTINUE
    assert await bench.status("a") is TaskStatus.PREPARING
    known = await bench.tracker.changes("", -1, 0)
    await bench.complete(order, reply)
    news = await bench.tracker.changes(known.epoch, known.version, 1)
    assert [s.status for s in news.tasks] == [TaskStatus.COMPLETED]
    end = await bench.archive.end("a")
    assert end is not None
    assert await (await bench.archive.result(end)).whole() == b"picture"
    await asyncio.sleep(0.05)
    assert [(m["id"], m["status"], m["image_data"]) for m in bench.sent] == [("msg_a", "completed", "cGljdHVyZQ==")]


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
    reply.set_exception(ReplicaLost("killed", kind="ActorDiedError"))
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
        reply.set_exception(ReplicaLost("killed", kind="ActorDiedError"))
    for _ in range(100):
        if await bench.status("a") is TaskStatus.ERROR:
            break
        await asyncio.sleep(0.02)
    snapshot = await bench.tracker.snapshot("a")
    assert (snapshot.status, snapshot.error_code) == (TaskStatus.ERROR, "replica_died")
    assert "3 times" in (snapshot.error_message or "")
    ended = {labels for labels in bench.metrics.counts if labels[0] == "iopaint_tasks_ended"}
    assert ended == {("iopaint_tasks_ended", "error", "replica_died")}


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


async def test_a_new_tracker_finds_everything_in_the_archive(tmp_path: Path) -> None:
    first = Bench(str(tmp_path))
    await first.submit("done")
    await first.complete(*await first.order())
    await first.submit("running")
    order, _ = await first.order()
    await first.submit("waiting")
    await first.close()

    second = Bench(str(tmp_path), lease_s=0.2)
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
    first = Bench(str(tmp_path))
    await first.submit("a")
    order, reply = await first.order()
    await first.close()
    second = Bench(str(tmp_path))
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


async def test_a_drained_replica_is_not_held_against_the_task(bench: Bench) -> None:
    await bench.submit("a")
    for _ in range(5):
        order, reply = await bench.order()
        await bench.tracker.begin(order)
        reply.set_exception(ReplicaDrained())
    await bench.complete(*await bench.order())
    assert await bench.status("a") is TaskStatus.COMPLETED


async def test_an_attempt_that_falls_silent_is_tried_again(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), attempt_silence_s=0.3)
    await bench.submit("a")
    order, reply = await bench.order()
    await bench.tracker.begin(order)
    again, second = await bench.order(3)
    assert again.attempt == 2
    assert reply.cancelled()
    await bench.complete(order, reply)  # it was only paused: too late, the other attempt goes on
    assert await bench.status("a") is not TaskStatus.COMPLETED
    await bench.complete(again, second)
    assert await bench.status("a") is TaskStatus.COMPLETED
    await bench.close()


async def test_a_tracker_that_stood_still_reads_the_heartbeats_before_it_judges(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), attempt_silence_s=0.5)
    await bench.submit("a")
    order, _ = await bench.order()
    await bench.tracker.begin(order)
    await asyncio.sleep(0.3)
    time.sleep(1.0)  # noqa: ASYNC251 -- as if stopped: nothing is read all the while
    await asyncio.sleep(0.05)
    assert await bench.tracker.begin(order) is Verdict.CONTINUE
    await asyncio.sleep(0.3)
    entry = bench.tracker._table.get("a")
    assert entry is not None
    assert (entry.attempt, entry.deaths) == (1, 0)
    await bench.close()


async def test_a_task_waiting_for_a_replica_is_not_silent(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), attempt_silence_s=0.1)
    await bench.submit("a")
    order, reply = await bench.order()
    await asyncio.sleep(0.5)
    assert bench.orders.empty()
    await bench.complete(order, reply)
    await bench.close()


async def test_delete_forgets_an_ended_task_and_its_files(bench: Bench, tmp_path: Path) -> None:
    await bench.submit("a")
    order, reply = await bench.order()
    with pytest.raises(TaskRunning):
        await bench.tracker.delete("a")
    await bench.complete(order, reply)
    await asyncio.sleep(0.1)
    await bench.tracker.delete("a")
    with pytest.raises(TaskNotFound):
        await bench.tracker.snapshot("a")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "owners" not in path.parts]


async def test_what_changes_at_about_the_same_time_is_told_in_one_answer(bench: Bench) -> None:
    known = await bench.tracker.changes("", -1, 0)
    waiting = asyncio.create_task(bench.tracker.changes(known.epoch, known.version, 5))
    await asyncio.sleep(0)  # it waits before the first change
    await bench.submit("a")
    await asyncio.sleep(0)  # and is awake before the second
    await bench.submit("b")
    assert {snapshot.task_id for snapshot in (await waiting).tasks} == {"a", "b"}


async def test_ends_are_told_once_although_the_tracker_was_rebuilt(tmp_path: Path) -> None:
    first = Bench(str(tmp_path))
    await first.submit("old")
    await first.complete(*await first.order())
    await asyncio.sleep(0.1)
    known = await first.tracker.changes("", -1, 0)
    await first.close()
    second = Bench(str(tmp_path))
    fresh = await second.tracker.changes(known.epoch, known.version, 0)
    assert fresh.epoch != known.epoch
    await asyncio.sleep(0.3)  # the history is read meanwhile
    assert (await second.tracker.counts()).completed == 1
    assert (await second.tracker.changes(fresh.epoch, fresh.version, 0.2)).tasks == ()
    await second.close()


async def test_a_tracker_that_heard_of_no_replica_has_one_introduce_itself_once(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), sync_s=0.05, lease_s=0.2)
    try:
        assert (await bench.tracker.state()).status == "starting"
        await bench.introductions.put(ReplicaReport("r", EngineReport("", "", "fake", "loading")))
        await bench.introductions.put(ReplicaReport("r", EngineReport("fake", "cpu", "fake", "ready")))
        for _ in range(200):
            if (await bench.tracker.state()).status == "healthy":
                break
            await asyncio.sleep(0.02)
        # Its replica leaves, as for a scale to zero, and the service is healthy all the same.
        await bench.tracker.forget_replica("r")
        await asyncio.sleep(0.4)
        state = await bench.tracker.state()
        assert (state.status, state.diagnostics["replicas"]) == ("healthy", [])
        assert bench.introductions.empty()
        await bench.introductions.put(ReplicaReport("s", EngineReport("fake", "cpu", "fake", "ready")))
        await asyncio.sleep(0.3)
        assert not bench.introductions.empty(), "who is known is not asked again"
    finally:
        await bench.close()


async def test_an_attempt_whose_call_ended_unaccounted_is_made_again(tmp_path: Path) -> None:
    """As a bug in the dispatch would leave it: no heartbeat will ever come."""
    bench = Bench(str(tmp_path), attempt_silence_s=0.5)
    await bench.submit("a")
    order, reply = await bench.order()
    reply.set_exception(TypeError("a bug"))
    again, _ = await bench.order()
    assert (again.task_id, again.attempt) == ("a", order.attempt + 1)
    await bench.close()


async def test_what_is_read_again_from_the_archive_is_no_news_for_ever(tmp_path: Path) -> None:
    first = Bench(str(tmp_path), "first")
    await first.submit("old")
    await first.complete(*await first.order())
    await first.close()
    bench = Bench(str(tmp_path), "second", max_remembered=0)
    await bench.tracker.counts()
    await asyncio.sleep(0.2)  # its first look around
    known = await bench.tracker.changes("", -1, 0)
    await bench.tracker.snapshot("old")
    asked = 0
    started = time.monotonic()
    while time.monotonic() - started < 0.5:
        news = await bench.tracker.changes(known.epoch, known.version, 0.4)
        assert news.tasks == ()
        known, asked = news, asked + 1
    assert asked <= 3, "the long poll came back at once, again and again"
    await bench.submit("new")
    assert [s.task_id for s in (await bench.tracker.changes(known.epoch, known.version, 5)).tasks] == ["new"]
    await bench.close()


async def test_asking_for_a_task_while_it_is_deleted_does_not_bring_it_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.submit("a")
    await bench.complete(*await bench.order())
    delete = bench.archive.delete_prefix

    async def slow(prefix: str) -> None:
        await bench.tracker.snapshot("a")
        await delete(prefix)

    monkeypatch.setattr(bench.archive, "delete_prefix", slow)
    await bench.tracker.delete("a")
    with pytest.raises(TaskNotFound):
        await bench.tracker.snapshot("a")
    assert await bench.submit("a", digest="other") is True
