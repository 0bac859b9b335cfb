"""The loaded engines of one replica: the least recently used goes when a budget of bytes is full."""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from models import memory
from models.engine import InpaintEngine
from models.errors import ModelUnavailable

log = logging.getLogger("ray.serve")

LoadEngine = Callable[[str], InpaintEngine]


@dataclass(slots=True)
class _Held:
    engine: InpaintEngine
    held_bytes: int
    users: int = 0


class Lease:
    """An engine that stays loaded until ``release``, which any thread may call, and more than once."""

    def __init__(self, engine: InpaintEngine, release: Callable[[], None] = lambda: None) -> None:
        self.engine = engine
        self._release = release
        self._lock = threading.Lock()
        self._released = False

    def release(self) -> None:
        with self._lock:
            first, self._released = not self._released, True
        if first:
            self._release()


class EngineShelf:
    """Engines by name, the least recently used first. Used on one event loop, except for ``Lease.release``.

    One that is in use never goes; neither do those in ``kept``. Loading one does not keep others from working.
    """

    def __init__(
        self, load: LoadEngine, budget_bytes: int, *, kept: frozenset[str] = frozenset(),
        expect: Callable[[str], int] = lambda name: 0, measure: Callable[[object], int] = memory.held_bytes,
        announce: Callable[[tuple[str, ...]], None] = lambda names: None,
    ) -> None:  # fmt: skip
        """``expect``: bytes that an engine will hold, as far as its files tell; ``measure``: what one really holds;
        ``announce``: told what is asked for here from now on, before it is loaded."""
        self._load = load
        self._budget_bytes = budget_bytes
        self._kept = kept
        self._expect = expect
        self._measure = measure
        self._announce = announce
        self._asked_for: set[str] = set()
        self._held: dict[str, _Held] = {}
        self._coming: dict[str, int] = {}
        self._loads: dict[str, asyncio.Task[_Held]] = {}
        self._changed = asyncio.Event()

    def __contains__(self, name: str) -> bool:
        return name in self._held

    @property
    def names(self) -> tuple[str, ...]:
        """What is loaded, the least recently used first."""
        return tuple(self._held)

    def peek(self, name: str) -> InpaintEngine | None:
        """The engine if it is loaded; this is no use of it."""
        held = self._held.get(name)
        return held.engine if held else None

    async def lease(self, name: str) -> Lease:
        """Load it if need be. Raises what loading raises, and ``ModelUnavailable`` where it has no place."""
        self._note(name, True)
        while (held := self._held.get(name)) is None:
            if name not in self._loads:
                # A task of its own: when the client that asked first is gone, the others still wait for it.
                self._loads[name] = asyncio.create_task(self._bring(name))
            await asyncio.shield(self._loads[name])
        held.users += 1
        self._held[name] = self._held.pop(name)  # the most recently used is last
        loop = asyncio.get_running_loop()
        return Lease(held.engine, lambda: _tell(loop, self._give_back, held))

    async def _bring(self, name: str) -> _Held:
        try:
            need = await asyncio.to_thread(self._expect, name)
            await self._make_room(name, need)
            self._coming[name] = need
            engine = await asyncio.to_thread(self._load, name)
            held = _Held(engine, await asyncio.to_thread(self._measure, engine))
            self._held[name] = held
            log.info("engine loaded", extra={"model": name, "held_bytes": held.held_bytes})
        finally:
            self._coming.pop(name, None)
            self._loads.pop(name, None)
            self._changed.set()
        self._evict_for(0, sparing=name)
        return held

    async def _make_room(self, name: str, need: int) -> None:
        while not self._evict_for(need, sparing=name):
            if name in self._kept:
                return  # it answers when no model is named: the service is nothing without it
            if not self._coming and not any(h.users for other, h in self._held.items() if other not in self._kept):
                left = self._budget_bytes - sum(held.held_bytes for held in self._held.values())
                raise ModelUnavailable(
                    f"The model {name} needs about {memory.in_words(need)} of memory, and {memory.in_words(left)} of "
                    f"{memory.in_words(self._budget_bytes)} are left beside the default model (MODEL_MEMORY_BYTES)."
                )
            self._changed.clear()
            await self._changed.wait()

    def _evict_for(self, need: int, sparing: str) -> bool:
        """Let idle engines go until so many bytes are free; False when they are not."""
        while sum(held.held_bytes for held in self._held.values()) + sum(self._coming.values()) + need > (
            self._budget_bytes
        ):
            idle = (n for n, held in self._held.items() if not held.users and n != sparing and n not in self._kept)
            oldest = next(idle, None)
            if oldest is None:
                return False
            held = self._held.pop(oldest)
            self._note(oldest, False)
            held.engine.close()
            memory.trim()
            log.info("engine let go", extra={"model": oldest, "held_bytes": held.held_bytes})
        return True

    def _note(self, name: str, asked_for: bool) -> None:
        """One that does not load stays among them: the others would do no better, and looking for one takes time."""
        if asked_for != (name in self._asked_for):
            self._asked_for ^= {name}
            self._announce(tuple(sorted(self._asked_for)))

    def _give_back(self, held: _Held) -> None:
        held.users -= 1
        self._changed.set()
        self._evict_for(0, sparing="")


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[_Held], None], held: _Held) -> None:
    """On the shelf's loop; at the end of the process there is none any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, held)
