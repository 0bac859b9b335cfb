"""The replica's class without Ray: an engine that hangs, one that goes on, calls that nobody waits for."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deployments.config import InpainterConfig
from deployments.engine_room import EngineRoom
from deployments.inpainter import EngineStuck, Inpainter
from deployments.protocol import ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive, open_store
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.geometry import Rect
from models.job import DiffusionOptions, InpaintJob
from tests.support.pictures import encoded, photo


class Hanging:
    """Works until it is released; ``steps_s`` apart it says that it came a step further."""

    def __init__(self, step_s: float | None = None) -> None:
        self.release = threading.Event()
        self.began = threading.Event()
        self.stopped = False
        self._step_s = step_s

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("hanging", "cpu")

    def steps(self, options: DiffusionOptions) -> int:
        return 100

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        self.began.set()
        step = 0
        while not self.release.wait(self._step_s or 0.02):
            self.stopped = self.stopped or should_stop()
            if self._step_s is not None:
                step += 1
                on_step(step, 100)
        return Filling(image)

    def close(self) -> None:
        """Nothing is held."""


class Silent:
    """A tracker that agrees to everything."""

    async def begin(self, order: TaskOrder) -> Verdict:
        return Verdict.CONTINUE

    async def finish(self, end: TaskEnd) -> None: ...

    async def report(self, report: ReplicaReport) -> dict[str, Verdict]:
        return {}

    async def forget_replica(self, replica_id: str) -> None: ...


def replica(engine: Hanging, folder: Path) -> Inpainter:
    values: dict[str, Any] = {
        "device": "cpu", "low_mem": True, "cpu_offload": True, "model_dir": None, "fake_unit_s": 0.0,
        "max_pixels": 10_000_000, "max_window_px": 2048, "stuck_after_s": 0.3,
    }  # fmt: skip
    config = InpainterConfig(model="hanging", fallback_model="", **values)
    return Inpainter(
        config, EngineRoom(config, lambda name: engine), TaskArchive(open_store(str(folder))), Silent(), "r"
    )


JOB = InpaintJob(regions=(Rect(40, 40, 30, 10),))
IMAGE = encoded(photo(200, 150))


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
