"""The facade that ingress replicas use, on a tracker as a plain class: refusals, many results, large ones."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.errors import QueueFull, ServiceUnavailable
from deployments.protocol import EngineReport, ReplicaReport
from deployments.task_archive import TaskArchive
from deployments.task_client import TaskClient
from deployments.tasks import BatchSubmission, TaskInput, TaskStatus
from deployments.webhooks import task_body
from ingress.batch_zip import BatchZip
from tests.support.s3 import s3_server
from tests.support.tracker import JOB, Bench, submission

GIVEN = TaskInput(JOB, b"image")
LARGE_BYTES = 24 * 2**20


class Actor:
    """The tracker's handle, without Ray between."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self._bench.tracker, name))


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Bench]:
    """Two tasks at work, one waits, and no other may."""
    bench = Bench(str(tmp_path), max_queued=1)
    for name in ("first", "second"):
        await bench.submit(name)
        await bench.order()
    await bench.submit("waits")
    yield bench
    await bench.close()


async def inputs(archive: TaskArchive, task_id: str) -> list[str]:
    return [file.path async for file in archive.files(f"tasks/{task_id}") if "/input-" in file.path]


async def test_the_input_of_a_refused_task_goes(full: Bench) -> None:
    client = TaskClient(Actor(full), full.archive)
    with pytest.raises(QueueFull):
        await client.submit(submission("x"), GIVEN)
    assert await inputs(full.archive, "x") == []


async def test_a_refusal_deletes_no_input_of_the_same_task_accepted_meanwhile(
    full: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = TaskClient(Actor(full), full.archive)
    refused, go = asyncio.Event(), asyncio.Event()
    delete = full.archive.delete_input

    async def late(task_id: str, name: str) -> None:
        refused.set()
        await go.wait()
        await delete(task_id, name)

    with monkeypatch.context() as patch:
        patch.setattr(full.archive, "delete_input", late)
        first = asyncio.create_task(client.submit(submission("x"), GIVEN))
        await refused.wait()
    await full.tracker.cancel("waits")
    _, new = await client.submit(submission("x"), GIVEN)
    assert new
    go.set()
    with pytest.raises(QueueFull):
        await first
    await full.tracker.cancel("first")
    order, _ = await full.order()
    assert order.task_id == "x"
    assert await full.archive.input(order) == GIVEN


async def test_however_many_ask_for_health_the_tracker_is_asked_once(full: Bench) -> None:
    asked: list[int] = []

    async def state() -> object:
        asked.append(len(asked))
        if len(asked) == 1:
            raise ServiceUnavailable("The task tracker is restarting.")
        return await full.tracker.state()

    client = TaskClient(SimpleNamespace(state=SimpleNamespace(remote=state)), full.archive)
    with pytest.raises(ServiceUnavailable):
        await client.state()
    impatient = asyncio.create_task(client.state())  # who leaves takes the answer from nobody
    others = asyncio.gather(*(client.state() for _ in range(100)))
    await asyncio.sleep(0)
    impatient.cancel()
    assert {state.status for state in await others} == {"starting"}
    assert (await client.state()).status == "starting"
    assert len(asked) == 2
    await full.tracker.report(ReplicaReport("r", EngineReport("fake", "cpu", "fake", "ready")))
    for _ in range(100):
        if (await client.state()).status == "healthy":
            break
        await asyncio.sleep(0.05)
    assert (await client.state()).status == "healthy"


async def test_submitting_again_leaves_one_input(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path))
    client = TaskClient(Actor(bench), bench.archive)
    assert [(await client.submit(submission("x"), GIVEN))[1] for _ in range(2)] == [True, False]
    assert len({path.rsplit("/", 1)[0] for path in await inputs(bench.archive, "x")}) == 1
    order, _ = await bench.order()
    assert await bench.archive.input(order) == GIVEN
    await bench.close()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with s3_server() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.usefixtures("s3")
async def test_a_batch_of_a_hundred_on_s3() -> None:
    bench = Bench("s3://archive/hundred")
    client = TaskClient(Actor(bench), bench.archive)
    ids = tuple(f"b.{number}" for number in range(100))
    batch, items = BatchSubmission("b", ids, "d", "http://x.example/"), [(submission(i), GIVEN) for i in ids]
    accepted, new = await client.submit_batch(batch, items)
    assert new
    assert [task.task_id for task in accepted.tasks] == list(ids)
    assert (await client.submit_batch(batch, items))[1] is False, "the same again is the same batch"
    for number in range(100):
        order, reply = await bench.order()
        if number == 50:
            await bench.tracker.cancel(order.task_id)
        else:
            await bench.complete(order, reply, order.task_id.encode())
    ended = await client.batch("b")
    assert (ended.ended, ended.counts["completed"], ended.counts["cancelled"]) == (True, 99, 1)
    results = [(task.task_id, result and await result.whole()) async for task, result in client.batch_results(ended)]
    assert len(results) == 100
    assert sum(data == name.encode() for name, data in results) == 99
    assert await inputs(bench.archive, "b.7") == []
    await bench.close()


class Memory:
    """Of Python's objects: what an allocator keeps of what was given back is not this code's."""

    def __enter__(self) -> "Memory":
        tracemalloc.start()
        return self

    def __exit__(self, *about: object) -> None:
        self.most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


async def test_large_results_are_never_all_in_memory(tmp_path: Path) -> None:
    """Eight of 24 MiB: in a batch's zip and in a callback by the piece."""
    bench = Bench(str(tmp_path))
    client = TaskClient(Actor(bench), bench.archive)
    await bench.submit_batch("b", 8)
    for _ in range(8):
        order, reply = await bench.order()
        await bench.complete(order, reply, bytes(LARGE_BYTES))
    zipped, length = BatchZip(), 0
    with Memory() as memory:
        async for task, result in client.batch_results(await client.batch("b")):
            assert result is not None
            async for piece in zipped.add(task.task_id, result.pieces):
                length += len(piece)
    assert length + len(zipped.finish("report.json", b"{}")) > 8 * LARGE_BYTES
    assert memory.most < LARGE_BYTES, "no whole result"
    end = await bench.archive.end("b.0")
    assert end is not None
    assert end.status is TaskStatus.COMPLETED
    length = 0
    with Memory() as memory:
        body = await task_body(bench.archive, end)
        async for piece in body.pieces():
            length += len(piece)
    assert length == body.length > LARGE_BYTES * 4 / 3
    assert memory.most < LARGE_BYTES, "the whole body would be more than twice as much"
    await bench.close()
