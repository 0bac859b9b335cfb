"""How many tasks the tracker takes, of all and of one client, and in which turn."""

import asyncio
import time
from pathlib import Path

import pytest

from deployments.errors import QueueFull
from deployments.protocol import TaskEnd
from deployments.tasks import TaskStatus
from tests.support.tracker import Bench


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), max_queued=2)
    for number in range(4):  # without replicas two are dispatched, to wake a service scaled to zero
        await bench.submit(f"t{number}")
        await asyncio.sleep(0.05)
    with pytest.raises(QueueFull) as caught:
        await bench.submit("one-more")
    assert caught.value.details["retry_after_s"] >= 1
    await bench.close()


async def test_the_time_to_come_again_follows_the_measured_rate(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), max_queued=1)
    await bench.submit("first")
    order, reply = await bench.order()
    now = time.time()  # it worked for eight seconds
    await bench.tracker.finish(TaskEnd("first", TaskStatus.COMPLETED, order.attempt, now, now - 8))
    reply.set_result(None)
    for number in range(3):  # two are out at replicas, one waits
        await bench.submit(f"t{number}")
        await asyncio.sleep(0.05)
    with pytest.raises(QueueFull) as caught:
        await bench.submit("one-more")
    assert caught.value.details["retry_after_s"] == pytest.approx(8, abs=0.1)  # one place, one at work at a time
    await bench.close()


async def test_clients_take_turns(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path))
    await bench.submit("wakes-1", client="other")  # without replicas two are dispatched at once
    await bench.submit("wakes-2", client="other")
    for number in range(20):
        await bench.submit(f"many-{number}", client="greedy")
    await bench.submit("urgent", client="greedy", priority=5)
    await bench.submit("one", client="modest")
    assert (await bench.tracker.snapshot("one")).queue_position == 1
    order = []
    for _ in range(6):
        given, reply = await bench.order()
        order.append(given.task_id)
        await bench.complete(given, reply)
    # Two are claimed side by side, and the archive takes either claim first.
    assert set(order) == {"wakes-1", "wakes-2", "urgent", "one", "many-0", "many-1"}
    assert order.index("one") < order.index("many-1")
    await bench.close()


async def test_one_clients_tasks_are_bounded_and_anothers_are_not(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), max_active_per_client=2)
    for task_id in ("a", "b"):
        await bench.submit(task_id, client="key:one")
    with pytest.raises(QueueFull, match="MAX_TASKS_PER_CLIENT"):
        await bench.submit("c", client="key:one")
    assert await bench.submit("a", client="key:one") is False, "the same task again is no new one"
    assert await bench.submit("c", client="key:two")
    assert (await bench.tracker.counts("key:one")).active_task_ids == ("a", "b")
    await bench.tracker.cancel("a")
    assert await bench.submit("d", client="key:one")
    assert (await bench.tracker.counts("key:one")).cancelled == 1
    await bench.close()


async def test_places_promised_to_a_client_count_for_its_quota(tmp_path: Path) -> None:
    bench = Bench(str(tmp_path), max_active_per_client=2)
    sent = await asyncio.gather(*(bench.submit(f"t{n}", client="key:one") for n in range(5)), return_exceptions=True)
    assert sum(result is True for result in sent) == 2
    assert sum(isinstance(result, QueueFull) for result in sent) == 3
    await bench.close()
