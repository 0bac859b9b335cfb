"""One engine, many requests: who runs the next unit of work."""

import heapq
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from models.engine import EngineInfo, Filling, Image, InpaintEngine, Mask, OnStep, ShouldStop
from models.errors import WorkCancelled
from models.job import DiffusionOptions


class Priority(IntEnum):
    """Smaller goes first: someone waits for a synchronous call; a task only for its turn."""

    INTERACTIVE = 0
    TASK = 1


class UnitGate:
    """A lock handed over by priority, then by order of arrival. A long task yields between its units."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._order = itertools.count()
        self._busy = False
        self._moved_at = time.monotonic()

    @contextmanager
    def turn(self, priority: Priority, should_stop: ShouldStop) -> Iterator[None]:
        """Wait for one's turn, run, hand over. Raises ``WorkCancelled`` when told to stop while waiting."""
        ticket = (int(priority), next(self._order))
        with self._condition:
            heapq.heappush(self._waiting, ticket)
            try:
                while self._busy or self._waiting[0] != ticket:
                    if should_stop():
                        raise WorkCancelled("Cancelled while waiting for the engine.")
                    self._condition.wait(0.05)
                self._busy = True
                self._moved_at = time.monotonic()
            finally:
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._busy = False
                self._condition.notify_all()

    def moved(self) -> None:
        """The unit at work has come a step further."""
        self._moved_at = time.monotonic()

    def stuck_s(self) -> float:
        """Seconds since the unit at work began or came a step further; 0 when none is at work."""
        return time.monotonic() - self._moved_at if self._busy else 0.0


class GatedEngine:
    """An engine behind the gate, for one request."""

    def __init__(self, engine: InpaintEngine, gate: UnitGate, priority: Priority) -> None:
        self._engine = engine
        self._gate = gate
        self._priority = priority

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def steps(self, options: DiffusionOptions) -> int:
        return self._engine.steps(options)

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        def step(done: int, total: int) -> None:
            self._gate.moved()
            on_step(done, total)

        with self._gate.turn(self._priority, should_stop):
            return self._engine.run(image, mask, options, step, should_stop)

    def close(self) -> None:
        """The room owns the engine, not the request."""
