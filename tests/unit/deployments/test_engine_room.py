import asyncio
from typing import Any

import pytest

from deployments.config import InpainterConfig
from deployments.engine_room import EngineRoom
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
    room = EngineRoom(config(), Loader(failures=2), retry_s=(0.2,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.1)
    assert (await room.get(None)).info.name == "cv2"
    report = room.report()
    assert (report.engine, report.model_status) == ("cv2", "error")
    assert "no network" in report.degraded[0]
    await asyncio.wait_for(task, 5)
    assert (await room.get(None)).info.name == "fake"
    assert (room.report().model_status, room.report().degraded) == ("ready", ())


async def test_a_slow_download_is_bridged() -> None:
    room = EngineRoom(config(patience_s=0.1), Loader(failures=0, slow_s=0.6), retry_s=(0.2,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.3)
    assert (await room.get(None)).info.name == "cv2"
    assert room.report().model_status == "loading"
    await asyncio.wait_for(task, 5)
    assert (await room.get(None)).info.name == "fake"


async def test_without_a_fallback_it_is_an_error() -> None:
    room = EngineRoom(config(fallback=""), Loader(failures=99), retry_s=(60,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.1)
    with pytest.raises(ModelUnavailable, match="no network"):
        await room.get(None)
    assert room.report().error == "no network."
    task.cancel()


async def test_a_model_named_explicitly_never_falls_back() -> None:
    room = EngineRoom(config(), Loader(failures=99), retry_s=(60,))
    task = asyncio.create_task(room.run())
    await asyncio.sleep(0.1)
    with pytest.raises(ModelUnavailable):
        await room.get("fake")
    task.cancel()
