"""The replica's class without Ray: an engine that hangs, one that goes on, calls that nobody waits for."""

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deployments.archive_store import open_store
from deployments.config import InpainterConfig
from deployments.detect_client import LineFinder
from deployments.engine_room import EngineRoom, kept
from deployments.engine_shelf import EngineShelf
from deployments.inpainter import EngineStuck, Inpainter
from deployments.protocol import ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive
from deployments.tasks import TaskInput, TaskStatus
from models.detect import TextLine
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.opencv import OpenCVEngine
from models.errors import DetectorUnavailable
from models.geometry import Rect
from models.job import DiffusionOptions, FindText, InpaintJob
from tests.support.fakes import FakeFinder
from tests.support.pictures import decoded, encoded, photo


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

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
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

    def __init__(self) -> None:
        self.ends: list[TaskEnd] = []
        self.totals: set[int] = set()
        self.heard: list[list[str]] = []
        self.verdict = Verdict.CONTINUE

    async def begin(self, order: TaskOrder) -> Verdict:
        return Verdict.CONTINUE

    async def finish(self, end: TaskEnd) -> None:
        self.ends.append(end)

    async def report(self, report: ReplicaReport) -> dict[str, Verdict]:
        self.heard.append([attempt.order.task_id for attempt in report.attempts])
        self.totals |= {attempt.progress.regions_total for attempt in report.attempts}
        return {attempt.order.task_id: self.verdict for attempt in report.attempts}

    async def forget_replica(self, replica_id: str) -> None: ...


def replica(
    engine: Hanging | OpenCVEngine, folder: Path, finder: LineFinder | None = None, link_to: Any = None,
    loads_in_s: float = 0.0,
) -> Inpainter:  # fmt: skip
    def load(name: str) -> Hanging | OpenCVEngine:
        time.sleep(loads_in_s)
        return engine

    values: dict[str, Any] = {
        "device": "cpu", "low_mem": True, "cpu_offload": True, "model_dir": None, "fake_unit_s": 0.0,
        "max_pixels": 10_000_000, "max_window_px": 2048, "stuck_after_s": 0.3, "download_patience_s": 0.1,
    }  # fmt: skip
    config = InpainterConfig(model="hanging", fallback_model="", **values)
    return Inpainter(
        config,
        EngineRoom(config, EngineShelf(load, 1_000_000, kept=kept(config), measure=lambda made: 0)),
        TaskArchive(open_store(str(folder))),
        Silent(),
        "r",
        finder or FakeFinder(),
        link_to=link_to,
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


FIND = InpaintJob(regions=None, find_text=FindText(min_score=0.7))


class Slow:
    """Looks for text until nobody waits any more."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def detect(self, image: bytes, find: FindText) -> tuple[TextLine, ...]:
        self.began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return ()


async def test_what_is_found_is_filled_and_nothing_else(tmp_path: Path) -> None:
    finder = FakeFinder()
    made = replica(OpenCVEngine(), tmp_path, finder)
    made.start()
    result = await made.inpaint(replace(FIND, model="cv2"), IMAGE, None)
    assert finder.asked == [FindText(min_score=0.7)]
    assert (result.stats.regions_processed, "detect" in result.stats.stage_times_s) == (1, True)
    changed = np.argwhere((decoded(result.data) != decoded(IMAGE)).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    # The line is 80 x 24 pixels at (10, 20), and 0.03 of its height, with every pixel touched, more on every side.
    assert (left, top, right, bottom) == (9, 19, 91, 44)
    await made.close()


async def test_a_picture_without_text_comes_back_untouched(tmp_path: Path) -> None:
    finder = FakeFinder()
    finder.lines = ()
    made = replica(OpenCVEngine(), tmp_path, finder)
    made.start()
    result = await made.inpaint(replace(FIND, model="cv2"), IMAGE, None)
    assert (result.stats.regions_processed, result.stats.total_area) == (0, 0)
    assert np.array_equal(decoded(result.data), decoded(IMAGE))
    await made.close()


async def run(tmp_path: Path, finder: LineFinder, model: str | None = "cv2") -> tuple[Inpainter, Silent, TaskOrder]:
    made = replica(OpenCVEngine(), tmp_path, finder)
    made.start()
    order = TaskOrder("t", 1, "d" * 64)
    await TaskArchive(open_store(str(tmp_path))).put_input(
        "t", order.input_name, TaskInput(replace(FIND, model=model), IMAGE)
    )
    tracker = made._tracker
    assert isinstance(tracker, Silent)
    return made, tracker, order


async def test_a_task_finds_its_regions_itself(tmp_path: Path) -> None:
    made, tracker, order = await run(tmp_path, FakeFinder())
    await made.run_task(order)
    (end,) = tracker.ends
    assert (end.status, end.stats and end.stats.regions_processed) == (TaskStatus.COMPLETED, 1)
    await made.close()


async def test_a_task_without_a_detector_fails_with_its_code(tmp_path: Path) -> None:
    finder = FakeFinder()
    finder.error = DetectorUnavailable("The package is missing.")
    made, tracker, order = await run(tmp_path, finder)
    await made.run_task(order)
    (end,) = tracker.ends
    assert (end.status, end.error_code) == (TaskStatus.ERROR, "detector_unavailable")
    await made.close()


async def test_cancelling_a_task_ends_its_detection(tmp_path: Path) -> None:
    finder = Slow()
    made, tracker, order = await run(tmp_path, finder)
    work = asyncio.create_task(made.run_task(order))
    await asyncio.wait_for(finder.began.wait(), 10)
    tracker.verdict = Verdict.STOP
    made._news.set()
    await asyncio.wait_for(work, 5)
    assert finder.cancelled.is_set()
    assert tracker.ends == [], "the tracker said so itself"
    await made.close()


async def test_a_caller_who_leaves_ends_the_detection(tmp_path: Path) -> None:
    finder = Slow()
    made = replica(OpenCVEngine(), tmp_path, finder)
    made.start()
    call = asyncio.create_task(made.inpaint(replace(FIND, model="cv2"), IMAGE, None))
    await asyncio.wait_for(finder.began.wait(), 10)
    call.cancel()
    await asyncio.wait_for(finder.cancelled.wait(), 5)
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
