import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deployments.config import InpainterConfig
from deployments.engine_room import EngineRoom, kept
from deployments.engine_shelf import EngineShelf, LoadEngine
from models.engine import InpaintEngine
from models.engines.fake import FakeEngine
from models.engines.opencv import OpenCVEngine
from models.errors import ModelUnavailable


def config(fallback: str = "cv2", patience_s: float = 0.2) -> InpainterConfig:
    values: dict[str, Any] = {
        "model": "fake", "device": "cpu", "low_mem": True, "cpu_offload": True, "model_dir": None,
        "fake_unit_s": 0.0, "max_pixels": 1, "max_window_px": 1,
    }  # fmt: skip
    return InpainterConfig(**values, fallback_model=fallback, download_patience_s=patience_s)


def made(config: InpainterConfig, load: LoadEngine, retry_s: tuple[float, ...]) -> EngineRoom:
    return EngineRoom(config, EngineShelf(load, 1_000_000, kept=kept(config), measure=lambda engine: 0), retry_s)


class Loader:
    """The default model (played by the fake engine) fails so often; cv2 is always there."""

    def __init__(self, failures: int, slow_s: float = 0.0) -> None:
        self.failures = failures
        self.slow_s = slow_s

    def __call__(self, name: str) -> InpaintEngine:
        if name == "cv2":
            return OpenCVEngine()
        if self.slow_s:
            import time

            time.sleep(self.slow_s)
        if self.failures:
            self.failures -= 1
            raise ModelUnavailable("no network.")
        return FakeEngine(0)


async def test_the_fallback_answers_until_the_weights_arrive() -> None:
    room = made(config(), Loader(failures=2), retry_s=(0.2,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.1)
    assert (await room.lease(None)).engine.info.name == "cv2"
    report = room.report()
    assert (report.engine, report.model_status) == ("cv2", "error")
    assert "no network" in report.degraded[0]
    await asyncio.wait_for(task, 5)
    assert (await room.lease(None)).engine.info.name == "fake"
    assert (room.report().model_status, room.report().degraded) == ("ready", ())


async def test_a_slow_download_is_bridged() -> None:
    room = made(config(patience_s=0.1), Loader(failures=0, slow_s=0.6), retry_s=(0.2,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.3)
    assert (await room.lease(None)).engine.info.name == "cv2"
    assert room.report().model_status == "loading"
    await asyncio.wait_for(task, 5)
    assert (await room.lease(None)).engine.info.name == "fake"


async def test_without_a_fallback_it_is_an_error() -> None:
    room = made(config(fallback=""), Loader(failures=99), retry_s=(60,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.1)
    with pytest.raises(ModelUnavailable, match="no network"):
        await room.lease(None)
    assert room.report().error == "no network."
    task.cancel()


async def test_a_model_named_explicitly_never_falls_back() -> None:
    room = made(config(), Loader(failures=99), retry_s=(60,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.1)
    with pytest.raises(ModelUnavailable):
        await room.lease("fake")
    task.cancel()


async def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become true")


class Networks:
    """``lama`` (played by the fake engine) fails so often."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.loaded: list[str] = []

    def __call__(self, name: str) -> InpaintEngine:
        self.loaded.append(name)
        if self.failures:
            self.failures -= 1
            raise ModelUnavailable("no network.")
        return FakeEngine(0)


async def test_auto_is_the_weightless_fills_until_the_weights_arrive() -> None:
    load = Networks(failures=1)
    room = made(replace(config(), model="auto"), load, retry_s=(0.3,))
    task = asyncio.create_task(room.run())
    await until(lambda: bool(room.report().degraded))
    report = room.report()
    assert (report.engine, report.configured_model, report.model_status) == ("auto", "auto", "error")
    assert "lama is not in use: no network." in report.degraded[0]
    assert "lama is not available: no network." in (await room.lease(None)).engine.info.notes[0]
    await asyncio.wait_for(task, 10)
    assert (room.report().engine, room.report().model_status, room.report().degraded) == ("auto", "ready", ())
    assert (await room.lease("auto")).engine.info.notes == ()
    assert set(load.loaded) == {"lama"}, "one network, shared; no fallback is needed"


async def test_auto_by_name_takes_the_default_model_for_its_network() -> None:
    room = made(config(), Loader(failures=0), retry_s=(60,))
    await asyncio.wait_for(asyncio.create_task(room.run()), 10)
    engine = (await room.lease("auto")).engine
    default = (await room.lease(None)).engine.info
    assert engine.info == replace(default, name="auto", network=default.name)


@pytest.mark.parametrize("model", ["auto", "fake"])
async def test_a_call_waits_for_an_engine_that_is_still_loading(model: str) -> None:
    room = made(replace(config(patience_s=30), model=model), Loader(failures=0, slow_s=0.5), retry_s=(60,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0)
    assert room.report().engine == ""
    assert (await room.lease(None)).engine.info.name == model
    await asyncio.wait_for(task, 10)


async def test_a_call_does_not_wait_for_a_long_download_where_nothing_stands_in() -> None:
    room = made(config(fallback="", patience_s=0.1), Loader(failures=0, slow_s=1), retry_s=(60,))
    task = asyncio.create_task(room.run())
    with pytest.raises(ModelUnavailable, match="still loading"):
        await room.lease(None)
    await asyncio.wait_for(task, 10)
