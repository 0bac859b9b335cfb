"""A store that fails for a while: what is answered meanwhile, and that everything goes on when it is back."""

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployments import archive_store, attempts
from deployments.archive_store import ArchiveStore, open_store, patiently
from deployments.attempts import ReplicaLost
from deployments.errors import ArchiveUnavailable, QueueFull
from deployments.task_archive import TaskRecord
from deployments.tasks import TaskStatus
from tests.support.s3 import s3_server
from tests.support.tracker import Bench, submission


class Folder:
    """The archive's folder, which can be away: a file is in its place.

    They change places in one step (``renameat2(2)``): in between a heartbeat would make the folder anew.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._aside = path.with_name("aside")

    def goes(self) -> None:
        self._aside.write_text("not a folder")
        self._exchange()

    def comes_back(self) -> None:
        self._exchange()
        self._aside.unlink()

    def _exchange(self) -> None:
        here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        library = ctypes.CDLL(None, use_errno=True)
        if library.renameat2(here, bytes(self.path), here, bytes(self._aside), exchange):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self.path))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "archive")


@pytest.fixture
async def bench(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(attempts, "_ARCHIVE_WAIT_S", 0.1)
    made = Bench(str(folder.path), sync_s=0.05, attempt_silence_s=0.2, lease_s=0.2)
    yield made
    await made.close()


async def test_every_operation_says_that_the_store_fails(folder: Folder) -> None:
    store = ArchiveStore(open_store(str(folder.path)))
    await store.put("a/b", b"x")
    found = await store.stream("a/b")
    assert found is not None
    folder.goes()
    for call in (store.put("a/b", b""), store.create("a/c", b""), store.get("a/b"), store.stream("a/b")):
        with pytest.raises(ArchiveUnavailable, match="archive"):
            await call
    with pytest.raises(ArchiveUnavailable):
        await store.delete(["a/b"])
    with pytest.raises(ArchiveUnavailable):
        [file async for file in store.files("a")]


async def test_a_task_is_refused_while_the_archive_is_away_and_taken_afterwards(bench: Bench, folder: Folder) -> None:
    await bench.tracker.counts()
    folder.goes()
    with pytest.raises(ArchiveUnavailable):
        await bench.tracker.submit(submission("a"))
    folder.comes_back()
    assert await bench.submit("a") is True
    assert (await bench.order())[0].task_id == "a"


async def test_a_tracker_that_started_without_its_archive_starts_again(bench: Bench, folder: Folder) -> None:
    folder.goes()
    for _ in range(2):
        with pytest.raises(ArchiveUnavailable):
            await bench.tracker.counts()
    folder.comes_back()
    await bench.submit("a")
    await bench.complete(*await bench.order())
    assert await bench.status("a") is TaskStatus.COMPLETED


async def test_heartbeats_go_on_after_the_archive_failed(bench: Bench, folder: Folder) -> None:
    await bench.tracker.counts()
    folder.goes()
    await asyncio.sleep(0.3)  # several heartbeats fail
    folder.comes_back()
    before = (await bench.archive.owners())["me"]["beat"]
    for _ in range(500):
        if (await bench.archive.owners())["me"]["beat"] != before:
            return
        await asyncio.sleep(0.02)
    pytest.fail("no heartbeat followed")


async def test_a_start_that_could_not_be_claimed_is_made_later(bench: Bench, folder: Folder) -> None:
    await bench.submit("a")
    _, reply = await bench.order()
    folder.goes()
    reply.set_exception(ReplicaLost("killed", kind="ActorDiedError"))
    await asyncio.sleep(0.8)  # the second attempt is due, and cannot be claimed
    assert bench.orders.empty()
    folder.comes_back()
    order, reply = await bench.order()
    await bench.complete(order, reply)
    assert await bench.status("a") is TaskStatus.COMPLETED


async def test_an_archive_that_fails_a_replica_is_no_death_of_it(bench: Bench) -> None:
    await bench.submit("a")
    for _ in range(4):  # three deaths would be the end
        _, reply = await bench.order()
        reply.set_exception(ArchiveUnavailable("away"))
    await bench.complete(*await bench.order())
    assert await bench.status("a") is TaskStatus.COMPLETED


async def test_an_accepted_task_whose_answer_got_lost_is_done_all_the_same(bench: Bench) -> None:
    """The record was written, but the store said that it failed: whoever asks again is told of it, and it is run."""
    await bench.tracker.counts()
    await bench.archive.create_record(TaskRecord(submission("a"), 0.0, "me"))
    assert await bench.submit("a") is False
    order, reply = await bench.order()
    await bench.complete(order, reply)
    assert await bench.status("a") is TaskStatus.COMPLETED


async def test_the_bound_of_the_queue_holds_for_many_at_once(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), max_queued=5)
    await bench.tracker.counts()
    given = [bench.submit(f"t-{number}") for number in range(40)]
    answers = await asyncio.gather(*given, return_exceptions=True)
    taken = sum(answer is True for answer in answers)
    await bench.close()
    assert 5 <= taken <= 5 + 2  # two are out at replicas
    assert {type(answer) for answer in answers if answer is not True} == {QueueFull}


async def test_patience_has_an_end() -> None:
    calls = 0

    async def fails() -> None:
        nonlocal calls
        calls += 1
        raise ArchiveUnavailable("away")

    with pytest.raises(ArchiveUnavailable):
        await patiently(fails, (0.0, 0.0))
    assert calls == 3


def test_an_object_store_that_does_not_answer_is_an_error_within_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(archive_store, "_RETRY_S", 1.0)
        store = ArchiveStore(open_store("s3://archive/tasks"))
        asyncio.run(store.put("a", b"x"))
    with pytest.raises(ArchiveUnavailable):
        asyncio.run(asyncio.wait_for(store.get("a"), 60))
