import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from deployments.memory_gate import MemoryGate, PassMemory
from deployments.window_queue import Priority, QueuedEngine, WindowQueue
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.opencv import OpenCVEngine
from models.errors import ImageTooLarge, MemoryShort
from models.job import DiffusionOptions
from models.memory import JOB_BYTES_PER_PX, working_bytes

MEGAPIXEL = 1_000_000 * JOB_BYTES_PER_PX


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_jobs_wait_for_room_in_the_order_in_which_they_came() -> None:
    gate, entered = MemoryGate(3 * MEGAPIXEL), list[str]()

    async def job(name: str, megapixels: int) -> Callable[[], None]:
        leave = await gate.enter(1000 * megapixels, 1000)
        entered.append(name)
        return leave

    first = await job("first", 2)
    large, small = asyncio.create_task(job("large", 3)), asyncio.create_task(job("small", 1))
    await turn()
    assert entered == ["first"]  # the small one would fit, but would keep the large one out for ever
    await asyncio.to_thread(first)
    (await large)()
    await small
    assert entered == ["first", "large", "small"]


async def test_one_that_no_longer_waits_takes_no_room() -> None:
    gate = MemoryGate(2 * MEGAPIXEL)
    leave = await gate.enter(1000, 1000)
    gone = asyncio.create_task(gate.enter(2000, 1000))
    behind = asyncio.create_task(gate.enter(1000, 1000))
    await turn()
    gone.cancel()
    (await behind)()
    leave()
    await turn()
    assert gate.used_bytes == 0


async def test_one_that_never_fits_is_refused_with_the_estimate() -> None:
    with pytest.raises(ImageTooLarge, match=r"2000 x 1000 needs about 64 MB.*JOB_MEMORY_BYTES"):
        await MemoryGate(MEGAPIXEL).enter(2000, 1000)


INFO = EngineInfo("cv2", "cpu")
NEED = working_bytes("cv2", 50 * 80)


def test_a_window_that_can_never_run_is_refused_with_the_estimate() -> None:
    PassMemory(NEED).require_ever(INFO, 50, 80)
    with pytest.raises(ImageTooLarge, match="80 x 50 pixels needs about"):
        PassMemory(NEED - 1).require_ever(INFO, 50, 80)


def test_a_window_that_cannot_run_now_is_refused_when_its_turn_has_come() -> None:
    engine, free = CountingEngine(), [NEED]
    queue = WindowQueue(pass_memory=PassMemory(NEED, lambda: free[0]))

    def run() -> None:
        image, mask = np.zeros((50, 80, 3), np.uint8), np.zeros((50, 80), np.uint8)
        QueuedEngine(engine, queue, Priority.TASK).run(image, mask, DiffusionOptions(), ignore, lambda: False)

    run()
    free[0] -= 1
    with pytest.raises(MemoryShort, match="free just now"):
        run()
    free[0] += 1
    run()  # the refusal kept nothing busy
    assert engine.runs == 2


class CountingEngine(OpenCVEngine):
    runs = 0

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        self.runs += 1
        return super().run(image, mask, options, on_step, should_stop)


def ignore(done: int, total: int) -> None: ...
