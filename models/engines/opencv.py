"""OpenCV's diffusion fills: no weights, milliseconds, always there. Equal pixels to IOPaint's ``cv2`` model."""

import cv2
import numpy as np

from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.job import DiffusionOptions

_RADIUS_PX = 4
"""IOPaint's default ``cv2_radius``."""
GREY = 127
"""Of what there is nothing known around: OpenCV would leave it as it is."""


class OpenCVEngine:
    """Navier-Stokes (Bertalmio et al. 2001), IOPaint's default, or Telea (2004), on the CPU."""

    def __init__(self, flag: int = cv2.INPAINT_NS, radius_px: int = _RADIUS_PX) -> None:
        self._flag = flag
        self._radius_px = radius_px

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("cv2", "cpu")

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        if mask.all():
            on_step(1, 1)
            return Filling(np.full_like(image, GREY))
        # IOPaint hands BGR over; the fill of one channel does not depend on the others, but rounding order might.
        filled = cv2.inpaint(np.ascontiguousarray(image[:, :, ::-1]), mask, self._radius_px, self._flag)
        on_step(1, 1)
        return Filling(np.ascontiguousarray(filled[:, :, ::-1]).astype(np.uint8, copy=False))

    def close(self) -> None:
        """Nothing is held."""
