import asyncio
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from deployments.memory_gate import MemoryGate, PassMemory
from deployments.window_queue import Priority, QueuedEngine, WindowQueue
from models.codec import ImageHeader
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.opencv import OpenCVEngine
from models.errors import ImageTooLarge, MemoryShort
from models.geometry import Polygon, Rect
from models.job import DiffusionOptions, InpaintJob, MaskMode, MaskOptions
from models.masks import region_covers
from models.memory import JOB_BYTES_PER_PX, regions_bytes, working_bytes
from models.regions import RegionMasks
from models.windows import WindowSizes

MEGAPIXEL = 1_000_000 * JOB_BYTES_PER_PX
JOB = InpaintJob((Rect(0, 0, 10, 10),))


def picture(width: int, height: int) -> ImageHeader:
    return ImageHeader("PNG", width, height, 1, 3, 8)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_jobs_wait_for_room_in_the_order_in_which_they_came() -> None:
    gate, entered = MemoryGate(3 * MEGAPIXEL), list[str]()

    async def job(name: str, megapixels: int) -> Callable[[], None]:
        leave = await gate.enter(JOB, picture(1000 * megapixels, 1000))
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


async def test_beside_others_a_job_waits_for_memory_that_is_really_there() -> None:
    """Other replicas of the machine use it, too. The only one of this replica is let in: nobody would wake it."""
    free = [3 * MEGAPIXEL]
    gate = MemoryGate(9 * MEGAPIXEL, lambda: free[0])
    first = await gate.enter(JOB, picture(2000, 1000))
    free[0] = MEGAPIXEL
    second = asyncio.create_task(gate.enter(JOB, picture(2000, 1000)))
    await turn()
    assert not second.done()
    first()
    (await second)()
    await turn()
    assert gate.used_bytes == 0


async def test_one_that_no_longer_waits_takes_no_room() -> None:
    gate = MemoryGate(2 * MEGAPIXEL)
    leave = await gate.enter(JOB, picture(1000, 1000))
    gone = asyncio.create_task(gate.enter(JOB, picture(2000, 1000)))
    behind = asyncio.create_task(gate.enter(JOB, picture(1000, 1000)))
    await turn()
    gone.cancel()
    (await behind)()
    leave()
    await turn()
    assert gate.used_bytes == 0


async def test_one_that_never_fits_is_refused_with_the_estimate() -> None:
    with pytest.raises(ImageTooLarge, match=r"2000 x 1000 needs about 64 MB.*JOB_MEMORY_BYTES"):
        await MemoryGate(MEGAPIXEL).enter(JOB, picture(2000, 1000))


async def test_regions_that_never_fit_are_refused_and_said_to_be_the_reason() -> None:
    gate = MemoryGate(2 * MEGAPIXEL)
    regions = (Polygon(((0, 0), (1000, 0), (1000, 1000), (0, 1000))),) * 8
    (await gate.enter(InpaintJob(regions[:4]), picture(1000, 1000)))()
    with pytest.raises(ImageTooLarge, match=r"with its regions needs about 96 MB.*fewer or smaller regions"):
        await gate.enter(InpaintJob(regions), picture(1000, 1000))
    whole = InpaintJob((Rect(0, 0, 1000, 1000),), masking=MaskOptions(MaskMode.AUTO))
    with pytest.raises(ImageTooLarge, match=r"with its regions needs about 206 MB.*or mask_mode box"):
        await gate.enter(whole, picture(1000, 1000))
    with pytest.raises(ImageTooLarge, match=r"2100 x 1000 needs about .* Send a smaller one\.$"):
        await gate.enter(whole, picture(2100, 1000))


async def test_a_picture_of_16_bits_needs_more_room() -> None:
    gate = MemoryGate(MEGAPIXEL)
    (await gate.enter(JOB, picture(1000, 1000)))()
    with pytest.raises(ImageTooLarge, match=r"1000 x 1000 needs about 56 MB"):
        await gate.enter(JOB, ImageHeader("PNG", 1000, 1000, 1, 3, 16))


@pytest.mark.parametrize("mode", list(MaskMode))
def test_what_regions_keep_is_within_the_estimate(mode: MaskMode) -> None:
    """Each as large as the picture, of which the estimate knows itself."""
    rgb = np.full((128, 128, 3), 220, np.uint8)
    rgb[60:80, 20:100:8] = 0
    for region in (Rect(0, 0, 128, 128), Polygon(((0, 0), (128, 0), (128, 128), (0, 128)))):
        job = InpaintJob((region,) * 5, masking=MaskOptions(mode))
        RegionMasks(rgb, region_covers([region], 128, 128), job.masking)  # what is loaded once
        tracemalloc.start()
        kept = RegionMasks(rgb, region_covers(job.regions or (), 128, 128), job.masking)
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert len(kept.boxes) == 5
        assert used < regions_bytes(job, 128, 128) + 3 * 128 * 128


INFO = EngineInfo("cv2", "cpu")
NEED = working_bytes("cv2", 50 * 80)


def test_a_window_that_can_never_run_is_refused_with_the_estimate() -> None:
    window = np.zeros((50, 80), np.uint8)
    PassMemory(NEED).require_ever(INFO, window)
    with pytest.raises(ImageTooLarge, match="80 x 50 pixels needs about"):
        PassMemory(NEED - 1).require_ever(INFO, window)


def test_auto_is_charged_what_its_network_needs() -> None:
    sizes = WindowSizes(512, 512, square=True)
    need = working_bytes("mat", 512 * 512)
    info = EngineInfo("auto", "cpu", network="mat", sizes=sizes)
    window = np.zeros((300, 500), np.uint8)
    PassMemory(need).require_ever(info, window)
    with pytest.raises(ImageTooLarge):
        PassMemory(need - 1).require_ever(info, window)


@pytest.mark.parametrize("name", ["classic", "biharmonic", "auto"])
def test_a_large_hole_is_charged_what_solving_it_takes(name: str) -> None:
    window = np.zeros((480, 480), np.uint8)
    PassMemory(330_000_000).require_ever(EngineInfo(name, "cpu"), window)
    window[60:420, 60:420] = 255
    with pytest.raises(ImageTooLarge, match="480 x 480 pixels needs about 518 MB"):
        PassMemory(500_000_000).require_ever(EngineInfo(name, "cpu"), window)


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
