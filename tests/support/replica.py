"""The replica's class without Ray, with an engine and a tracker of the test's."""

import threading
import time
from pathlib import Path
from typing import Any

from deployments.archive_store import open_store
from deployments.config import InpainterConfig
from deployments.detect_client import LineFinder
from deployments.engine_room import EngineRoom, kept
from deployments.engine_shelf import EngineShelf
from deployments.inpainter import Inpainter
from deployments.protocol import ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.opencv import OpenCVEngine
from models.geometry import Rect
from models.job import DiffusionOptions, InpaintJob
from tests.support.fakes import FakeFinder
from tests.support.pictures import encoded, photo

JOB = InpaintJob(regions=(Rect(40, 40, 30, 10),))
IMAGE = encoded(photo(200, 150))


class Hanging:
    """Works until it is released; ``steps_s`` apart it says that it came a step further."""

    def __init__(self, step_s: float | None = None) -> None:
        self.release = threading.Event()
        self.began = threading.Event()
        self.stopped = False
        self._step_s = step_s

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("hanging", "cpu")

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return 100

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        self.began.set()
        step = 0
        while not self.release.wait(self._step_s or 0.02):
            self.stopped = self.stopped or should_stop()
            if self._step_s is not None:
                step += 1
                on_step(step, 100)
        return Filling(image)

    def close(self) -> None:
        """Nothing is held."""


class Silent:
    """A tracker that agrees to everything."""

    def __init__(self) -> None:
        self.ends: list[TaskEnd] = []
        self.totals: set[int] = set()
        self.heard: list[list[str]] = []
        self.verdict = Verdict.CONTINUE

    async def begin(self, order: TaskOrder) -> Verdict:
        return Verdict.CONTINUE

    async def finish(self, end: TaskEnd) -> None:
        self.ends.append(end)

    async def report(self, report: ReplicaReport) -> dict[str, Verdict]:
        self.heard.append([attempt.order.task_id for attempt in report.attempts])
        self.totals |= {attempt.progress.regions_total for attempt in report.attempts}
        return {attempt.order.task_id: self.verdict for attempt in report.attempts}

    async def forget_replica(self, replica_id: str) -> None: ...


def replica(
    engine: Hanging | OpenCVEngine, folder: Path, finder: LineFinder | None = None, link_to: Any = None,
    loads_in_s: float = 0.0,
) -> Inpainter:  # fmt: skip
    def load(name: str) -> Hanging | OpenCVEngine:
        time.sleep(loads_in_s)
        return engine

    values: dict[str, Any] = {
        "device": "cpu", "low_mem": True, "cpu_offload": True, "model_dir": None, "fake_unit_s": 0.0,
        "max_pixels": 10_000_000, "max_window_px": 2048, "stuck_after_s": 0.3, "download_patience_s": 0.1,
    }  # fmt: skip
    config = InpainterConfig(model="hanging", fallback_model="", **values)
    return Inpainter(
        config,
        EngineRoom(config, EngineShelf(load, 1_000_000, kept=kept(config), measure=lambda made: 0)),
        TaskArchive(open_store(str(folder))),
        Silent(),
        "r",
        finder or FakeFinder(),
        link_to=link_to,
    )
