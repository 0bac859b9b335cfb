"""A replica that has its regions found: nothing else is filled, and what it waits for is waited for, or left."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployments.archive_store import open_store
from deployments.detect_client import LineFinder
from deployments.errors import ArchiveUnavailable, ServiceUnavailable
from deployments.inpainter import Inpainter
from deployments.protocol import TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive
from deployments.tasks import TaskInput, TaskStatus
from models.detect import TextLine
from models.engines.opencv import OpenCVEngine
from models.errors import DetectorUnavailable, MemoryShort
from models.job import FindText, InpaintJob
from tests.support.fakes import FakeFinder
from tests.support.pictures import decoded
from tests.support.replica import IMAGE, Silent, replica

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


async def test_a_task_waits_where_memory_or_a_detector_is_short_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = FakeFinder()
    finder.error = ServiceUnavailable("All replicas that find text are busy. Try again.")
    made, tracker, order = await run(tmp_path, finder)
    made._config = replace(made._config, shortage_waits_s=(0.1,) * 50)
    work = asyncio.create_task(made.run_task(order))
    await asyncio.sleep(0.3)
    assert tracker.ends == []
    short = [True, True]

    def refused(*given: object) -> None:
        if short:
            short.pop()
            raise MemoryShort("One pass needs more than is free just now.")

    monkeypatch.setattr(made._queue._memory, "require_now", refused)
    finder.error = None
    await asyncio.wait_for(work, 20)
    (end,) = tracker.ends
    assert (end.status, short) == (TaskStatus.COMPLETED, [])
    await made.close()


async def test_an_end_that_the_archive_does_not_take_yet_is_not_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is repeated, each heartbeat names the attempt: or the tracker would have the whole job done again."""
    made, tracker, order = await run(tmp_path, FakeFinder())
    finish, away = tracker.finish, asyncio.Event()

    async def failing(end: TaskEnd) -> None:
        if not away.is_set():
            away.set()
            raise ArchiveUnavailable("The archive is away.")
        await finish(end)

    monkeypatch.setattr(tracker, "finish", failing)
    work = asyncio.create_task(made.run_task(order))
    await asyncio.wait_for(away.wait(), 20)
    tracker.heard.clear()
    made._news.set()
    await asyncio.sleep(0.3)
    assert tracker.heard[-1] == [order.task_id]
    await asyncio.wait_for(work, 20)
    assert len(tracker.ends) == 1
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
