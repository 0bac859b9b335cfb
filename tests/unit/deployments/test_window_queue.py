"""Who runs next, who runs together, and that nobody's failure or end is another's."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pytest
import torch

from deployments.window_queue import Priority, QueuedEngine, WindowQueue
from models.codec import decode
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.lama.engine import LamaEngine
from models.engines.lama.generator import Generator
from models.engines.lama.layers import Kind
from models.engines.lama.parameters import generator_state
from models.errors import WorkCancelled
from models.geometry import Rect
from models.job import DiffusionOptions, InpaintJob
from models.pipeline import process
from models.progress import ProgressEvent
from tests.support import lama
from tests.support.pictures import encoded, photo

Result = TypeVar("Result")
OPTIONS = DiffusionOptions()
BAD = 13
"""The value of pixels at which the engine fails."""


class Plain:
    """Notes what ran, one by one; the first window waits for ``go``, so that others gather behind it."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.passes: list[list[int]] = []

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("plain", "cpu")

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        filling = self._pass([image])[0]
        on_step(1, 1)
        return filling

    def close(self) -> None:
        """Nothing is held."""

    def _pass(self, images: Sequence[Image]) -> list[Filling]:
        self.began.set()
        assert self.go.wait(60)
        self.passes.append([int(image[0, 0, 0]) for image in images])
        if any(image[0, 0, 0] == BAD for image in images):
            raise RuntimeError("CUDA out of memory")
        return [Filling(image + 100) for image in images]


class Batching(Plain):
    def __init__(self, limit: int = 4, error: type[Exception] | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._error = error

    def max_batch(self, height: int, width: int) -> int:
        return self._limit

    def run_batch(self, windows: Sequence[tuple[Image, Mask]]) -> list[Filling]:
        if self._error is not None:
            raise self._error
        return self._pass([image for image, _ in windows])


class Requests:
    """Each in a thread of its own, in the order in which they are sent."""

    def __init__(self, engine: Plain, max_batch: int = 0) -> None:
        self.queue = WindowQueue(max_batch=max_batch)
        self._engine = engine
        self._threads = ThreadPoolExecutor(16)

    def send_group(self, *values: int) -> "Future[list[int]]":
        def work() -> list[int]:
            engine = QueuedEngine(self._engine, self.queue, Priority.INTERACTIVE)
            mask = np.zeros((8, 8), np.uint8)
            windows = [(np.full((8, 8, 3), value, np.uint8), mask) for value in values]
            return [int(f.image[0, 0, 0]) for f in engine.run_group(windows, OPTIONS, lambda: False)]

        return self._submit(work)

    def send(
        self,
        value: int,
        priority: Priority = Priority.INTERACTIVE,
        size: int = 8,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> "Future[int]":
        steps: list[tuple[int, int]] = []

        def work() -> int:
            image = np.full((size, size, 3), value, np.uint8)
            engine = QueuedEngine(self._engine, self.queue, priority)
            mask = np.zeros((size, size), np.uint8)
            filling = engine.run(image, mask, OPTIONS, lambda *step: steps.append(step), should_stop)
            assert steps == [(1, 1)]
            return int(filling.image[0, 0, 0])

        return self._submit(work)

    def _submit(self, work: Callable[[], Result]) -> "Future[Result]":
        waiting, behind = len(self.queue._waiting), self._engine.began.is_set() and not self._engine.go.is_set()
        future = self._threads.submit(work)
        if behind:  # so that the order is known
            until(lambda: len(self.queue._waiting) > waiting)
        return future


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def behind_first(engine: Plain, max_batch: int = 0) -> tuple[Requests, "Future[int]"]:
    requests = Requests(engine, max_batch)
    first = requests.send(1)
    assert engine.began.wait(60)
    return requests, first


def test_windows_of_one_shape_run_together_those_for_whom_someone_waits_first() -> None:
    engine = Batching(limit=3)
    requests, first = behind_first(engine)
    futures = [requests.send(2, Priority.TASK), requests.send(3, Priority.TASK), requests.send(4, size=9)]
    futures += [requests.send(5), requests.send(6), requests.send(7, size=9)]
    engine.go.set()
    assert [future.result(60) for future in [first, *futures]] == [101, 102, 103, 104, 105, 106, 107]
    assert engine.passes == [[1], [4, 7], [5, 6, 2], [3]]


def test_callers_that_never_stop_leave_tasks_one_pass_in_five() -> None:
    engine = Plain()
    requests, first = behind_first(engine)
    futures = [requests.send(50, Priority.TASK), requests.send(51, Priority.TASK)]
    futures += [requests.send(value) for value in range(2, 13)]
    engine.go.set()
    assert {future.result(60) for future in futures} == {150, 151, *range(102, 113)}
    assert first.result(60) == 101
    assert [passed for (passed,) in engine.passes] == [1, 2, 3, 4, 5, 50, 6, 7, 8, 9, 51, 10, 11, 12]


def test_what_cannot_run_together_runs_in_turn() -> None:
    engine = Plain()
    requests, first = behind_first(engine, max_batch=4)
    futures = [requests.send(2, Priority.TASK), requests.send(3), requests.send(4)]
    engine.go.set()
    assert [future.result(60) for future in [first, *futures]] == [101, 102, 103, 104]
    assert engine.passes == [[1], [3], [4], [2]]


def test_windows_of_one_request_run_together_and_have_one_place_in_the_queue() -> None:
    """Whoever waits goes along first; the request's own fill what room is left."""
    engine = Batching(limit=3)
    requests, first = behind_first(engine)
    group, one, other = requests.send_group(2, 3, 4, 5), requests.send(6), requests.send(7, size=9)
    engine.go.set()
    assert group.result(60) == [102, 103, 104, 105]
    assert [future.result(60) for future in (first, one, other)] == [101, 106, 107]
    assert engine.passes == [[1], [2, 6, 3], [7], [4, 5]]


def test_a_failing_window_of_a_group_runs_alone() -> None:
    engine = Batching(limit=4)
    requests, first = behind_first(engine)
    group, other = requests.send_group(2, BAD, 4), requests.send(5)
    engine.go.set()
    with pytest.raises(RuntimeError, match="out of memory"):
        group.result(60)
    assert (first.result(60), other.result(60)) == (101, 105)
    assert engine.passes == [[1], [2, 5, BAD, 4], [2], [5], [BAD]]
    assert requests.send_group(8, 9).result(60) == [108, 109]


def test_the_setting_goes_before_what_the_engine_says() -> None:
    engine = Batching(limit=4)
    requests, first = behind_first(engine, max_batch=2)
    futures = [requests.send(value) for value in (2, 3, 4)]
    engine.go.set()
    assert [future.result(60) for future in [first, *futures]] == [101, 102, 103, 104]
    assert engine.passes == [[1], [2, 3], [4]]


def test_the_setting_changes_with_the_next_pass() -> None:
    engine = Batching(limit=4)
    requests, first = behind_first(engine)
    futures = [requests.send(value) for value in (2, 3, 4)]
    requests.queue.max_batch = 1
    engine.go.set()
    assert [future.result(60) for future in [first, *futures]] == [101, 102, 103, 104]
    assert engine.passes == [[1], [2], [3], [4]]


def test_a_failing_window_fails_alone() -> None:
    engine = Batching()
    requests, first = behind_first(engine)
    good, bad, other = requests.send(2), requests.send(BAD), requests.send(4)
    engine.go.set()
    assert (first.result(60), good.result(60), other.result(60)) == (101, 102, 104)
    with pytest.raises(RuntimeError, match="out of memory"):
        bad.result(60)
    assert engine.passes == [[1], [2, BAD, 4], [2], [BAD], [4]]
    assert requests.send(9).result(60) == 109


def test_an_error_of_the_batch_itself_stops_nobody_else() -> None:
    """Unlike lack of memory it is a mistake in the code: the window that led has it, the others go on."""
    engine = Batching(error=ValueError)
    requests, first = behind_first(engine)
    leader, other = requests.send(2), requests.send(3)
    engine.go.set()
    assert (first.result(60), other.result(60)) == (101, 103)
    with pytest.raises(ValueError):  # noqa: PT011 - the engine's own, without a text
        leader.result(60)
    assert requests.queue.stuck_s() == 0


def test_a_waiting_window_leaves_when_its_request_ends() -> None:
    engine = Batching()
    requests, first = behind_first(engine)
    gone = threading.Event()
    cancelled, other = requests.send(2, should_stop=gone.is_set), requests.send(3)
    gone.set()
    with pytest.raises(WorkCancelled):
        cancelled.result(60)
    assert requests.queue.stuck_s() > 0
    engine.go.set()
    assert (first.result(60), other.result(60)) == (101, 103)
    assert engine.passes == [[1], [3]]


@pytest.mark.parametrize("winograd", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_of_lama_is_its_windows_one_by_one(dtype: torch.dtype, winograd: bool) -> None:
    state = generator_state(lama.wrapped("model", base=16, blocks=3).state_dict())
    with torch.inference_mode():
        engine = LamaEngine(Generator(state, Kind(torch.device("cpu"), dtype, winograd)), EngineInfo("lama", "cpu"))
    source = np.random.default_rng(0)
    images = [source.integers(0, 256, (67, 45, 3), np.uint8) for _ in range(4)]
    masks = [np.uint8(255) * (source.random((67, 45)) < 0.3).astype(np.uint8) for _ in range(4)]
    pairs = list(zip(images, masks, strict=True))
    assert engine.max_batch(512, 512) == 1
    batch = engine.run_batch(pairs)
    for (image, mask), together in zip(pairs, batch, strict=True):
        alone = engine.run(image, mask, OPTIONS, lambda *step: None, lambda: False)
        difference = np.abs(alone.image.astype(int) - together.image)
        assert difference.mean() <= 2
        assert dtype is torch.bfloat16 or difference.max() <= 1


class Gpu(LamaEngine):
    """On the CPU, but batching as on a GPU."""

    def __init__(self, limit: int) -> None:
        state = generator_state(lama.wrapped("model", base=16, blocks=3).state_dict())
        with torch.inference_mode():
            super().__init__(Generator(state, Kind(torch.device("cpu"), torch.float32)), EngineInfo("lama", "cpu"))
        self.limit = limit
        self.passes: list[int] = []

    def max_batch(self, height: int, width: int) -> int:
        return self.limit

    def run_batch(self, windows: Sequence[tuple[Image, Mask]]) -> list[Filling]:
        self.passes.append(len(windows))
        return super().run_batch(windows)


def test_the_windows_of_one_request_are_batched_and_its_pixels_stay() -> None:
    """Six words far apart, in windows of two shapes; through the pipeline and the queue."""
    image = photo(900, 640)
    words = [Rect(60 + 420 * column, 80 + 230 * row, 30 + 40 * (row == 1), 20) for column in (0, 1) for row in range(3)]
    queue, pictures, told = WindowQueue(), [], list[ProgressEvent]()
    engine = Gpu(limit=1)
    for limit in (1, 4):
        engine.limit, told = limit, []
        result = process(
            InpaintJob(tuple(words)), encoded(image), None, QueuedEngine(engine, queue, Priority.INTERACTIVE),
            max_pixels=10**6, max_window_px=2048, on_progress=told.append, should_stop=lambda: False,
        )  # fmt: skip
        pictures.append(decode(result.data, max_pixels=10**6).rgb)
    assert engine.passes[:6] == [1] * 6
    assert sorted(engine.passes[6:]) == [2, 4]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1  # of the same sum in another order
    done = [(event.units_done, event.regions_done) for event in told if event.stage == "inpainting"]
    assert [units for units, _ in done] == list(range(7))
    assert done[-1] == (6, 6)
