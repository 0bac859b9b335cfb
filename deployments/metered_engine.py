"""An engine that counts what it does: windows, pixels and the seconds that they took."""

import time

from deployments.metrics import Metrics
from models.engine import EngineInfo, Filling, Image, InpaintEngine, Mask, OnStep, ShouldStop
from models.job import DiffusionOptions


class MeteredEngine:
    def __init__(self, engine: InpaintEngine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    def steps(self, options: DiffusionOptions) -> int:
        return self._engine.steps(options)

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        start = time.perf_counter()
        filled = self._engine.run(image, mask, options, on_step, should_stop)
        model = self._engine.info.name
        self._metrics.count("iopaint_windows", model=model)
        self._metrics.count("iopaint_pixels", float(image.shape[0] * image.shape[1]), model=model)
        self._metrics.count("iopaint_engine_seconds", time.perf_counter() - start, model=model)
        return filled

    def close(self) -> None:
        """The room owns the engine, not the request."""
