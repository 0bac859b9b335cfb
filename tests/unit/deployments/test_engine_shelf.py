"""Several models in one replica: who goes, who stays, who waits."""

import asyncio
import threading

import pytest

from deployments.engine_shelf import EngineShelf
from models.engine import InpaintEngine
from models.engines.fake import FakeEngine
from models.errors import ModelUnavailable

SIZE = {"a": 40, "b": 40, "c": 40, "big": 90, "default": 30}


class Sized(FakeEngine):
    def __init__(self, name: str) -> None:
        super().__init__(0)
        self.name = name
        self.closed = False

    def close(self) -> None:
        self.closed = True


def shelf(budget: int, load: object = Sized, kept: frozenset[str] = frozenset()) -> EngineShelf:
    def measure(engine: object) -> int:
        assert isinstance(engine, Sized)
        return SIZE[engine.name]

    return EngineShelf(load, budget, kept=kept, expect=SIZE.__getitem__, measure=measure)  # type: ignore[arg-type]


async def used(kept: EngineShelf, name: str) -> InpaintEngine:
    lease = await kept.lease(name)
    lease.release()
    lease.release()  # once more does nothing
    await asyncio.sleep(0)
    return lease.engine


async def test_the_least_recently_used_goes_and_is_closed() -> None:
    made = shelf(100)
    first, again = await used(made, "a"), await used(made, "b")
    await used(made, "a")
    await used(made, "c")
    assert made.names == ("a", "c")
    assert isinstance(again, Sized)
    assert isinstance(first, Sized)
    assert (again.closed, first.closed) == (True, False)
    assert await used(made, "a") is first


async def test_one_in_use_never_goes_and_the_next_waits_for_it() -> None:
    made = shelf(100)
    in_use = [await made.lease("a"), await made.lease("b")]
    waiting = asyncio.create_task(made.lease("c"))
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert not waiting.done()
    assert made.names == ("a", "b")
    threading.Thread(target=in_use[1].release).start()  # as a job's thread does
    await asyncio.wait_for(waiting, 10)
    assert made.names == ("a", "c")


async def test_the_default_stays_and_what_has_no_place_beside_it_is_refused() -> None:
    made = shelf(100, kept=frozenset({"default"}))
    await used(made, "default")
    await used(made, "a")
    with pytest.raises(ModelUnavailable, match=r"big needs about .* of memory.*MODEL_MEMORY_BYTES"):
        await made.lease("big")
    assert "default" in made
    small = shelf(10, kept=frozenset({"default"}))
    await used(small, "default")  # without it there is no service
    assert small.names == ("default",)


async def test_loading_one_keeps_nobody_else_waiting_and_happens_once() -> None:
    loading, go_on, loads = threading.Event(), threading.Event(), []

    def load(name: str) -> InpaintEngine:
        loads.append(name)
        if name == "a":
            loading.set()
            assert go_on.wait(20)
        return Sized(name)

    made = shelf(100, load)
    slow = [asyncio.create_task(made.lease("a")) for _ in range(3)]
    assert await asyncio.to_thread(loading.wait, 10)
    await asyncio.wait_for(used(made, "b"), 10)
    slow[0].cancel()  # the client that asked first is gone
    await asyncio.sleep(0)
    go_on.set()
    assert (await slow[1]).engine is (await slow[2]).engine
    assert loads == ["a", "b"]


async def test_a_load_that_fails_is_tried_again_when_asked_again() -> None:
    fails = [True]

    def load(name: str) -> InpaintEngine:
        if fails.pop() if fails else False:
            raise ModelUnavailable("no network.")
        return Sized(name)

    made = shelf(100, load)
    with pytest.raises(ModelUnavailable, match="no network"):
        await made.lease("a")
    assert await used(made, "a")


async def test_what_is_asked_for_here_is_told_before_it_is_loaded_and_when_it_went() -> None:
    told: list[tuple[str, ...]] = []

    def load(name: str) -> Sized:
        assert name in told[-1], "calls for it come here while it is loaded, instead of loading it elsewhere, too"
        if name == "c":
            raise ModelUnavailable("no weights")
        return Sized(name)

    made = EngineShelf(load, 100, expect=SIZE.__getitem__, measure=lambda engine: 40, announce=told.append)
    for name in ("a", "b", "a"):
        await used(made, name)
    with pytest.raises(ModelUnavailable):
        await made.lease("c")  # b had to go for it
    assert told == [("a",), ("a", "b"), ("a", "b", "c"), ("a", "c")]
