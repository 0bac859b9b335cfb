"""Two trackers on one archive, a directory or S3: never two ends, never a start while the owner is heard."""

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.archive_store import open_store
from deployments.owners import OwnerBook
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskArchive
from deployments.tasks import TaskStatus
from tests.support.s3 import s3_server
from tests.support.tracker import Bench


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with s3_server() as environment:
        yield environment


@pytest.fixture(params=["directory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "directory":
        return str(tmp_path)
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    return f"s3://archive/{uuid.uuid4().hex}"


def bench(url: str, owner: str, **config: object) -> Bench:
    return Bench(url, owner, **{"sync_s": 0.2, "lease_s": 1.5, **config})


async def test_each_answers_for_the_others_tasks(url: str) -> None:
    first, second = bench(url, "first"), bench(url, "second")
    await first.submit("a")
    order, reply = await first.order()
    await first.tracker.begin(order)
    await second.until("a", TaskStatus.PREPARING)
    await asyncio.sleep(2.0)
    assert second.orders.empty(), "started although its owner is heard"
    await first.complete(order, reply)
    await second.until("a", TaskStatus.COMPLETED)
    end = await second.archive.end("a")
    assert end is not None
    assert await (await second.archive.result(end)).whole() == b"picture"
    await first.close()
    await second.close()


async def test_either_may_cancel_and_the_work_stops(url: str) -> None:
    first, second = bench(url, "first"), bench(url, "second")
    await first.submit("a")
    order, reply = await first.order()
    await first.tracker.begin(order)
    assert (await second.tracker.cancel("a")).status is TaskStatus.CANCELLED
    await first.until("a", TaskStatus.CANCELLED)
    await asyncio.sleep(0.1)
    assert reply.cancelled()
    await first.complete(order, reply)
    assert await first.status("a") is TaskStatus.CANCELLED
    await first.close()
    await second.close()


async def test_a_silent_trackers_tasks_are_taken_over_and_end_once(url: str) -> None:
    first, second = bench(url, "first"), bench(url, "second")
    await second.tracker.counts()
    await first.submit("running", callback="http://x.example/")
    await first.submit("queued")
    stale, reply = await first.order()
    await first.tracker.begin(stale)
    await second.until("running", TaskStatus.PREPARING)
    await first.close()  # killed, with the replica still at work
    got = {}
    for _ in range(2):
        order, answer = await second.order()
        got[order.task_id] = order.attempt
        await second.complete(order, answer)
    assert got == {"running": 2, "queued": got["queued"]}
    # The old replica reports to a tracker that was only paused: the end that was published stands.
    revived = bench(url, "first")
    published = await second.archive.end("running")
    assert published is not None
    await revived.archive.put_result("running", stale.attempt, b"another picture")
    await revived.tracker.finish(replace(published, attempt=stale.attempt))
    end = await revived.archive.end("running")
    assert end is not None
    assert (end.attempt, await (await revived.archive.result(end)).whole()) == (2, b"picture")
    assert len(second.sent) == 1
    reply.cancel()
    await second.close()
    await revived.close()


async def test_a_takeover_and_a_revival_never_work_on_the_same_attempt(url: str) -> None:
    benches = [bench(url, f"t{number}") for number in range(3)]
    await benches[0].submit("a")
    for one in benches[1:]:
        await one.until("a", TaskStatus.PENDING)
        one.tracker._house._owners.is_silent = lambda owner: True  # type: ignore[method-assign]
    await asyncio.sleep(1.0)  # both others believe that everybody else is gone
    attempts = []
    for one in benches:
        while not one.orders.empty():
            attempts.append(one.orders.get_nowait()[0].attempt)
    assert len(attempts) == len(set(attempts)) >= 1
    for one in benches:
        await one.close()


async def test_the_callback_of_a_killed_tracker_is_delivered_by_another(url: str) -> None:
    first = bench(url, "first")
    first.taken = False
    await first.submit("a", callback="http://x.example/")
    await first.complete(*await first.order())
    await asyncio.sleep(0.5)
    assert len(first.sent) == 1
    await first.close()
    second = bench(url, "second")
    await second.tracker.counts()
    async with asyncio.timeout(10):
        while not second.sent:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert second.sent[0]["id"] == first.sent[0]["id"]
    log = await second.tracker.deliveries("a")
    assert [(one.number, one.taken) for one in log] == [(1, False), (2, True)]
    await second.close()


async def test_a_process_that_is_gone_is_silent_at_once(tmp_path: Path) -> None:
    archive = TaskArchive(open_store(str(tmp_path)))
    process = await asyncio.create_subprocess_exec("sleep", "60")
    other, me = OwnerBook(archive, "other", 60.0), OwnerBook(archive, "me", 60.0)
    await other.beat({})
    await _rewrite_pid(tmp_path / "owners" / "other.json", process.pid)
    await me.look()
    assert not me.is_silent("other")
    process.kill()
    await process.wait()
    assert me.is_silent("other")
    assert me.is_silent("never heard of")
    assert not me.is_silent("me")


async def _rewrite_pid(path: Path, pid: int) -> None:
    note = json.loads(path.read_text())
    path.write_text(json.dumps(note | {"pid": pid}))


class Process:
    """A tracker that can be stopped; what it said, line by line."""

    def __init__(self, url: str, owner: str, tasks: int, folder: Path) -> None:
        self._log = folder / f"{owner}.log"
        with self._log.open("wb") as out:
            command = [sys.executable, "-m", "tests.support.tracker_process", url, owner, str(tasks)]
            self.popen = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)

    def said(self, start: str) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if line.startswith(start)]

    async def until_said(self, start: str, times: int = 1) -> None:
        async with asyncio.timeout(60):
            while len(self.said(start)) < times:
                assert self.popen.poll() is None
                await asyncio.sleep(0.05)

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)


async def test_a_tracker_that_is_stopped_and_goes_on_publishes_nothing_twice(url: str, tmp_path: Path) -> None:
    """Two processes, for real: what the first was at when it was stopped, the second has ended when it goes on."""
    archive, tasks = TaskArchive(open_store(url)), [f"t{number}" for number in range(6)]
    second = Process(url, "second", 0, tmp_path)
    await second.until_said("ready")
    first = Process(url, "first", len(tasks), tmp_path)
    try:
        await first.until_said("told")
        await first.until_said("began", len(first.said("came back")) + 1)
        first.signal(signal.SIGSTOP)
        async with asyncio.timeout(60):
            while len(before := await _published(archive, tasks)) < len(tasks):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert any(b"of second" in data for _, data in before), "nothing was taken over"
        first.signal(signal.SIGCONT)
        await first.until_said("told", len(tasks))
        await first.until_said("came back", len(first.said("began")))
        assert await _published(archive, tasks) == before
        assert sorted(first.said("told")) == [f"told {task} completed" for task in tasks]
        # What ended between two looks at the archive is told by the first alone.
        assert len(set(second.said("told"))) == len(second.said("told"))
        assert set(second.said("told")) <= set(first.said("told"))
        started = [line for process in (first, second) for line in process.said("began")]
        assert len(set(started)) == len(started), "an attempt was started twice"
    finally:
        for process in (first, second):
            process.signal(signal.SIGKILL)
            process.popen.wait(10)


async def _published(archive: TaskArchive, tasks: list[str]) -> list[tuple[TaskEnd, bytes]]:
    """Of the tasks that have ended."""
    ends = [await archive.end(task) for task in tasks]
    return [(end, await (await archive.result(end)).whole()) for end in ends if end is not None]
