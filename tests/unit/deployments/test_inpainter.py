"""The replica's class without Ray: an engine that hangs, one that goes on, calls that nobody waits for."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from deployments.inpainter import EngineStuck, Inpainter
from deployments.memory_gate import MemoryGate
from deployments.protocol import TaskOrder
from deployments.tasks import TaskInput, TaskStatus
from models import memory
from models.engine import Filling, Image, Mask, OnStep, ShouldStop
from models.engines.opencv import OpenCVEngine
from models.errors import ImageTooLarge
from models.geometry import Rect
from models.job import DiffusionOptions, InpaintJob, MaskMode, MaskOptions
from tests.support.replica import IMAGE, JOB, Hanging, Silent, replica


async def working(engine: Hanging, folder: Path) -> tuple[Inpainter, "asyncio.Task[Any]"]:
    made = replica(engine, folder)
    made.start()
    await asyncio.sleep(0.05)
    call = asyncio.create_task(made.inpaint(JOB, IMAGE, None))
    await asyncio.to_thread(engine.began.wait, 10)
    return made, call


async def test_an_engine_that_hangs_makes_the_replica_unhealthy(tmp_path: Path) -> None:
    engine = Hanging()
    made, call = await working(engine, tmp_path)
    await made.check_health()
    await asyncio.sleep(0.4)
    with pytest.raises(EngineStuck):
        await made.check_health()
    engine.release.set()
    await call
    await made.check_health()
    await made.close()


async def test_a_long_unit_that_comes_on_is_healthy(tmp_path: Path) -> None:
    engine = Hanging(step_s=0.05)
    made, call = await working(engine, tmp_path)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        await made.check_health()
        await asyncio.sleep(0.05)
    engine.release.set()
    await call
    await made.close()


async def test_a_cancelled_call_tells_its_engine(tmp_path: Path) -> None:
    engine = Hanging()
    made, call = await working(engine, tmp_path)
    call.cancel()
    await asyncio.wait([call])
    await asyncio.sleep(0.1)
    engine.release.set()
    assert engine.stopped
    await made.close()


async def test_a_small_request_does_not_take_all_memory(tmp_path: Path) -> None:
    """The picture fits; three hundred regions as large as it do not, where each one's strokes are looked for."""
    made = replica(OpenCVEngine(), tmp_path)
    made._memory = MemoryGate(200 * 150 * (memory.JOB_BYTES_PER_PX + 10))
    made.start()
    regions = (Rect(0, 0, 200, 150),) * 300
    await made.inpaint(InpaintJob(regions, model="cv2"), IMAGE, None)
    with pytest.raises(ImageTooLarge, match="regions"):
        await made.inpaint(InpaintJob(regions, model="cv2", masking=MaskOptions(MaskMode.AUTO)), IMAGE, None)
    await made.close()


class Denormal(Hanging):
    """Notes which numbers next to zero survive a multiplication, in its own thread and in torch's helpers."""

    survivors = -1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        self.survivors = int((torch.full((1 << 22,), 1e-38) * 0.01).count_nonzero())
        return Filling(image)


async def test_numbers_next_to_zero_are_zero_where_engines_run(tmp_path: Path) -> None:
    engine = Denormal()
    made = replica(engine, tmp_path)
    made.start()
    async with asyncio.timeout(10):
        while not made._room.ready:  # noqa: ASYNC110 (loading goes on in the replica's own loop)
            await asyncio.sleep(0.01)
    await made.inpaint(JOB, IMAGE, None)
    assert engine.survivors == 0
    await made.close()


async def test_an_order_of_another_tracker_is_answered_there(tmp_path: Path) -> None:
    """During an update, the old tracker's tasks go to replicas of the new code, whose tracker knows none."""
    engine, old = Hanging(), Silent()
    made = replica(engine, tmp_path, link_to={"": Silent(), "old": old}.__getitem__)
    order = TaskOrder("t", 1, "digest", tracker="old")
    await made._archive.put_input("t", "digest", TaskInput(JOB, IMAGE, None))
    made.start()
    work = asyncio.create_task(made.run_task(order))
    await asyncio.to_thread(engine.began.wait, 10)
    async with asyncio.timeout(20):
        while not old.heard:  # noqa: ASYNC110 (the other side is a replica's loop)
            await asyncio.sleep(0.05)
    assert old.heard[0] == ["t"]
    engine.release.set()
    await work
    assert [end.status for end in old.ends] == [TaskStatus.COMPLETED]
    await made.close()


async def test_a_task_waits_for_an_engine_that_takes_its_time(tmp_path: Path) -> None:
    """As when its first replica died: the second one has just been started."""
    made = replica(OpenCVEngine(), tmp_path, loads_in_s=0.5)
    tracker = made._tracker
    assert isinstance(tracker, Silent)
    order = TaskOrder("t", 2, "given")
    await made._archive.put_input("t", "given", TaskInput(JOB, IMAGE))
    made.start()
    await asyncio.wait_for(made.run_task(order), 30)
    assert [end.status for end in tracker.ends] == [TaskStatus.COMPLETED]
    await made.close()
