"""One engine at work, many requests: whose window runs next, and which windows of others run with it."""

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from deployments.memory_gate import PassMemory
from deployments.metrics import Metrics, NoMetrics
from models.engine import BatchingEngine, EngineInfo, Filling, Image, InpaintEngine, Mask, OnStep, ShouldStop
from models.errors import WorkCancelled
from models.job import DiffusionOptions

_LOOK_S = 0.05
"""Between two looks at whether a waiting window is still wanted."""
_PASSES_FOR_A_TASK = 5
"""While callers never leave the engine free, one pass in so many is for a task that waits."""


class Priority(IntEnum):
    """Smaller goes first: someone waits for a synchronous call; a task only for its turn."""

    INTERACTIVE = 0
    TASK = 1


@dataclass(slots=True, eq=False)
class _Window:
    """A request's window in the queue. ``place``: by priority, then by order of arrival.

    ``siblings``: others of the same request and shape. They run with it where there is room, and do not wait
    themselves: a request has one place in the queue, however many windows it has.
    """

    engine: InpaintEngine
    image: Image
    mask: Mask
    place: tuple[int, int]
    waiting: bool = False
    alone: bool = False
    """It was in a batch that failed: its error, if it is the one that has one, shall be its own."""
    filling: Filling | None = None
    siblings: list["_Window"] = field(default_factory=list)

    @property
    def is_of_task(self) -> bool:
        return self.place[0] == Priority.TASK

    def goes_with(self, first: "_Window") -> bool:
        return not self.alone and self.engine is first.engine and self.mask.shape == first.mask.shape


class WindowQueue:
    """Hands the engine over, window by window; a long task yields between its windows.

    The thread whose window is first runs it, and takes along waiting windows of the same shape where the engine
    can run several in one pass and gains by it. The others' threads wait for theirs. Nobody waits for company.
    """

    def __init__(
        self, metrics: Metrics | None = None, max_batch: int = 0, pass_memory: PassMemory | None = None
    ) -> None:
        """``max_batch``: windows of one pass at most; 0: what the engine says."""
        self._metrics = metrics or NoMetrics()
        self.max_batch = max_batch
        self._memory = pass_memory or PassMemory()
        self._condition = threading.Condition()
        self._waiting: list[_Window] = []
        self._order = itertools.count()
        self._busy = False
        self._passed_over = 0
        """Passes since a task's window ran while one waited."""
        self._moved_at = time.monotonic()

    def run(
        self,
        engine: InpaintEngine,
        image: Image,
        mask: Mask,
        options: DiffusionOptions,
        priority: Priority,
        on_step: OnStep,
        should_stop: ShouldStop,
    ) -> Filling:
        """Wait for the turn, run. Raises ``WorkCancelled`` when told to stop meanwhile, ``ImageTooLarge`` and
        ``MemoryShort`` where its pass has not the memory, and what the engine raises.
        """
        return self.run_group(engine, [(image, mask)], options, priority, on_step, should_stop)[0]

    def run_group(
        self,
        engine: InpaintEngine,
        windows: Sequence[tuple[Image, Mask]],
        options: DiffusionOptions,
        priority: Priority,
        on_step: OnStep,
        should_stop: ShouldStop,
    ) -> list[Filling]:
        """As ``run`` of each; of one shape, several in a pass where the engine can. Others have their turn between."""
        self._memory.require_ever(engine.info, windows[0][1])

        def step(done: int, total: int) -> None:
            self._moved_at = time.monotonic()
            on_step(done, total)

        group = [_Window(engine, image, mask, (int(priority), 0)) for image, mask in windows]
        fillings = []
        for index, window in enumerate(group):
            window.siblings = [sibling for sibling in group[index + 1 :] if sibling.filling is None]
            fillings.append(window.filling or self._run(window, options, step, should_stop))
        return fillings

    def batch_size(self, engine: InpaintEngine, height: int, width: int) -> int:
        """Windows of this size that run in one pass at most."""
        if not isinstance(engine, BatchingEngine):
            return 1
        return self.max_batch or engine.max_batch(height, width)

    def _run(self, window: _Window, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop) -> Filling:
        window.place, window.waiting = (window.place[0], next(self._order)), True
        with self._condition:
            self._waiting.append(window)
        try:
            while window.filling is None:
                batch = self._turn(window, should_stop)
                if not batch:
                    on_step(1, 1)  # it ran with another's: what runs in batches has one step
                    continue
                try:
                    self._work(batch, options, on_step, should_stop)
                finally:
                    self._hand_over(batch)
        finally:
            self._leave(window)
        return window.filling

    def stuck_s(self) -> float:
        """Seconds since the work under way began or came a step further; 0 when none is."""
        return time.monotonic() - self._moved_at if self._busy else 0.0

    def _turn(self, window: _Window, should_stop: ShouldStop) -> list[_Window]:
        """The windows that ``window``'s thread is to run, its own first; none when its own has been run."""
        with self._condition:
            while window.filling is None:
                if window.waiting and should_stop():
                    raise WorkCancelled("Cancelled while waiting for the engine.")
                if window.waiting and not self._busy and window is self._next():
                    return self._take(window)
                self._condition.wait(_LOOK_S)
            return []

    def _next(self) -> _Window:
        """Who waits for an answer goes first, but not without end."""
        tasks = [window for window in self._waiting if window.is_of_task]
        starved = self._passed_over >= _PASSES_FOR_A_TASK - 1
        return min(tasks if tasks and starved else self._waiting, key=_place)

    def _take(self, first: _Window) -> list[_Window]:
        batch = [first]
        if not first.alone:
            limit = self.batch_size(first.engine, *first.mask.shape)
            company = (window for window in sorted(self._waiting, key=_place) if window is not first)
            together = (window for window in itertools.chain(company, first.siblings) if window.goes_with(first))
            batch += itertools.islice(together, limit - 1)
        some_wait = any(window.is_of_task for window in self._waiting)
        served = any(window.is_of_task for window in batch)
        self._passed_over = self._passed_over + 1 if some_wait and not served else 0
        for window in batch:
            if window.waiting:
                window.waiting = False
                self._waiting.remove(window)
        self._busy, self._moved_at = True, time.monotonic()
        return batch

    def _work(
        self, batch: Sequence[_Window], options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> None:
        first, start = batch[0], time.perf_counter()
        self._memory.require_now(first.engine.info, first.mask)
        if len(batch) > 1:
            fillings = _together(batch)
            if fillings is None:
                return  # each alone, when its turn comes
            on_step(1, 1)
        else:
            fillings = [first.engine.run(first.image, first.mask, options, on_step, should_stop)]
        for window, filling in zip(batch, fillings, strict=True):
            window.filling = filling
        model = first.engine.info.name
        self._metrics.count("iopaint_windows", float(len(batch)), model=model)
        self._metrics.count("iopaint_pixels", float(len(batch) * first.mask.size), model=model)
        self._metrics.count("iopaint_engine_seconds", time.perf_counter() - start, model=model)
        self._metrics.observe("iopaint_batch_windows", float(len(batch)), model=model)

    def _leave(self, window: _Window) -> None:
        """Cancelled, or failed: the next must not wait for it."""
        with self._condition:
            if window in self._waiting:
                self._waiting.remove(window)
                self._condition.notify_all()

    def _hand_over(self, batch: Sequence[_Window]) -> None:
        """Those of a batch that failed wait for a turn of their own."""
        with self._condition:
            self._busy = False
            if len(batch) > 1:
                for window in batch:
                    if window.filling is None:
                        window.alone = True
                        if window not in batch[0].siblings:  # those wait for its thread, not for a turn
                            window.waiting = True
                            self._waiting.append(window)
            self._condition.notify_all()


def _together(batch: Sequence[_Window]) -> list[Filling] | None:
    """None where the pass failed: torch's errors, that memory does not suffice among them, are RuntimeErrors."""
    engine = batch[0].engine
    assert isinstance(engine, BatchingEngine)
    try:
        return engine.run_batch([(window.image, window.mask) for window in batch])
    except (RuntimeError, MemoryError):
        return None


def _place(window: _Window) -> tuple[int, int]:
    return window.place


class QueuedEngine:
    """An engine behind the queue, for one request."""

    def __init__(self, engine: InpaintEngine, queue: WindowQueue, priority: Priority) -> None:
        self._engine = engine
        self._queue = queue
        self._priority = priority

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return self._engine.units(mask, options)

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        return self._queue.run(self._engine, image, mask, options, self._priority, on_step, should_stop)

    def group_size(self, height: int, width: int) -> int:
        return self._queue.batch_size(self._engine, height, width)

    def run_group(
        self, windows: Sequence[tuple[Image, Mask]], options: DiffusionOptions, should_stop: ShouldStop
    ) -> list[Filling]:
        return self._queue.run_group(self._engine, windows, options, self._priority, _unheard, should_stop)

    def close(self) -> None:
        """The room owns the engine, not the request."""


def _unheard(done: int, total: int) -> None:
    """What runs in groups has one step, which its end tells."""
