"""Admission by estimated bytes: a job waits or is refused, rather than the replica being killed for its memory."""

import asyncio
from collections import deque
from collections.abc import Callable

from models import memory
from models.engine import EngineInfo, Filling, Image, InpaintEngine, Mask, OnStep, ShouldStop
from models.errors import ImageTooLarge, MemoryShort
from models.job import DiffusionOptions


class MemoryGate:
    """Lets jobs in while the sum of what they need stays within a budget; in the order in which they came."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._used_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    async def enter(self, width: int, height: int) -> Callable[[], None]:
        """Wait for room for an image of so many pixels. Returns what gives it back, on any thread.

        Raises ``ImageTooLarge`` for one that never fits.
        """
        need = width * height * memory.JOB_BYTES_PER_PX
        if need > self._budget_bytes:
            raise ImageTooLarge(
                f"A picture of {width} x {height} needs about {memory.in_words(need)} of memory; this server has "
                f"{memory.in_words(self._budget_bytes)} for pictures (JOB_MEMORY_BYTES). Send a smaller one."
            )
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((need, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(need)  # it was let in, and is gone in the same moment
            else:
                self._admit()
            raise

        def leave() -> None:
            if not loop.is_closed():  # at the end of the process it is
                loop.call_soon_threadsafe(self._leave, need)

        return leave

    def _admit(self) -> None:
        while self._waiting:
            need, turn = self._waiting[0]
            if not turn.done() and self._used_bytes + need > self._budget_bytes:
                return
            self._waiting.popleft()
            if not turn.done():  # nobody waits for it otherwise
                self._used_bytes += need
                turn.set_result(None)

    def _leave(self, need: int) -> None:
        self._used_bytes -= need
        self._admit()


class BoundedEngine:
    """An engine that refuses a window for which there is not the memory."""

    def __init__(
        self, engine: InpaintEngine, limit_bytes: int, available_bytes: Callable[[], int] = memory.available_bytes
    ) -> None:
        self._engine = engine
        self._limit_bytes = limit_bytes
        self._available_bytes = available_bytes

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def steps(self, options: DiffusionOptions) -> int:
        return self._engine.steps(options)

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        """Raises ``ImageTooLarge`` when it can never run here, ``MemoryShort`` when it cannot now."""
        height, width = mask.shape
        info = self._engine.info
        if info.device == "cpu":
            need = memory.working_bytes(info.name, width * height)
            told = f"One pass of {info.name} over {width} x {height} pixels needs about {memory.in_words(need)}"
            if need > self._limit_bytes:
                raise ImageTooLarge(
                    f"{told} of memory; this server has {memory.in_words(self._limit_bytes)}. Send a smaller picture "
                    "or hd_strategy Auto; the operator can lower MAX_IMAGE_SIZE, which makes larger ones run in parts."
                )
            if need > (free := self._available_bytes()):
                raise MemoryShort(
                    f"{told} of memory, and {memory.in_words(free)} are free just now. Try again in a moment."
                )
        return self._engine.run(image, mask, options, on_step, should_stop)

    def close(self) -> None:
        """The room owns the engine, not the request."""
