"""A weightless, deterministic engine with a settable time per unit: demonstrations, load tests, our own tests."""

import time

import numpy as np

from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.errors import WorkCancelled
from models.job import DiffusionOptions

_SLICE_S = 0.02
"""Cancelling is noticed this fast within a unit's wait."""


class FakeEngine:
    """Fills with the mean colour of the known pixels, in ``units`` steps of ``unit_s`` seconds each."""

    def __init__(self, unit_s: float = 0.05, units: int = 4) -> None:
        self._unit_s = unit_s
        self._units = units

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("fake", "cpu")

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return self._units

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        for unit in range(self._units):
            self._work(should_stop)
            on_step(unit + 1, self._units)
        known = image[mask == 0]
        filled = image.copy()
        filled[mask > 0] = known.mean(axis=0).astype(np.uint8) if len(known) else 128
        return Filling(filled)

    def close(self) -> None:
        """Nothing is held."""

    def _work(self, should_stop: ShouldStop) -> None:
        end = time.monotonic() + self._unit_s
        while True:
            if should_stop():
                raise WorkCancelled("Cancelled between two units of the fake engine.")
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _SLICE_S))
