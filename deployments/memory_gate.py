"""Admission by estimated bytes: a job waits or is refused, rather than the replica being killed for its memory."""

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from models import memory
from models.codec import ImageHeader
from models.engine import EngineInfo, Mask
from models.errors import ImageTooLarge, MemoryShort
from models.job import InpaintJob, MaskMode


class MemoryGate:
    """Lets jobs in while the sum of what they need stays within a budget; in the order in which they came. Beside other
    jobs only into memory that is free: other processes use it, too. One alone is let in, since no end of a job would
    wake it."""

    def __init__(self, budget_bytes: int, available_bytes: Callable[[], int] = memory.available_bytes) -> None:
        self._budget_bytes = budget_bytes
        self._available_bytes = available_bytes
        self._used_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    async def enter(self, job: InpaintJob, header: ImageHeader) -> Callable[[], None]:
        """Wait for room for a job's image, and its regions. Returns what gives it back, on any thread.

        Raises ``ImageTooLarge`` for one that never fits.
        """
        width, height = header.width, header.height
        picture_bytes, regions_bytes = memory.picture_bytes(job, header), memory.regions_bytes(job, width, height)
        need = picture_bytes + regions_bytes
        if need > self._budget_bytes:
            also, remedy = "", "a smaller one"
            if regions_bytes and picture_bytes <= self._budget_bytes:
                also, remedy = " with its regions", f"{remedy}, or fewer or smaller regions"
                if job.masking.mode is not MaskMode.BOX:
                    remedy += ", or mask_mode box"
            raise ImageTooLarge(
                f"A picture of {width} x {height}{also} needs about {memory.in_words(need)} of memory; this server has "
                f"{memory.in_words(self._budget_bytes)} for pictures (JOB_MEMORY_BYTES). Send {remedy}."
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
            if not turn.done() and not self._has_room(need):
                return
            self._waiting.popleft()
            if not turn.done():  # nobody waits for it otherwise
                self._used_bytes += need
                turn.set_result(None)

    def _has_room(self, need: int) -> bool:
        if not self._used_bytes:
            return True
        return self._used_bytes + need <= self._budget_bytes and need <= self._available_bytes()

    def _leave(self, need: int) -> None:
        self._used_bytes -= need
        self._admit()


class PassMemory:
    """Refuses a pass over a window for which there is not the memory. Windows on a GPU are the engine's to bound."""

    def __init__(
        self, limit_bytes: int | None = None, available_bytes: Callable[[], int] = memory.available_bytes
    ) -> None:
        """``limit_bytes``: what there can ever be; None: the machine's or the container's."""
        self._limit_bytes = memory.limit_bytes() if limit_bytes is None else limit_bytes
        self._available_bytes = available_bytes

    def require_ever(self, info: EngineInfo, mask: Mask) -> None:
        """Raises ``ImageTooLarge`` for a window that can never run here: told at once, not after a wait."""
        need = _need_bytes(info, mask)
        if need > self._limit_bytes:
            raise ImageTooLarge(
                f"{_told(info, mask)} of memory; this server has {memory.in_words(self._limit_bytes)}. Send a "
                "smaller picture or hd_strategy Auto; the operator can lower MAX_IMAGE_SIZE, which makes larger ones "
                "run in parts."
            )

    def require_now(self, info: EngineInfo, mask: Mask) -> None:
        """Raises ``MemoryShort`` for one that cannot run at this moment: asked when its turn has come."""
        need = _need_bytes(info, mask)
        if need and need > (free := self._available_bytes()):
            raise MemoryShort(
                f"{_told(info, mask)} of memory, and {memory.in_words(free)} are free just now. Try again in a moment."
            )


def _need_bytes(info: EngineInfo, mask: Mask) -> int:
    if info.device != "cpu":
        return 0
    height, width = mask.shape
    network = memory.working_bytes(info.network or info.name, info.sizes.pixels(width, height))
    return max(network, memory.solver_bytes(info.name, int(np.count_nonzero(mask))))


def _told(info: EngineInfo, mask: Mask) -> str:
    height, width = mask.shape
    need = memory.in_words(_need_bytes(info, mask))
    return f"One pass of {info.name} over {width} x {height} pixels needs about {need}"
