"""Pasting: what comes back from an engine replaces masked pixels and nothing else."""

import numpy as np
from numpy.typing import NDArray

from models.engine import Image, Mask
from models.geometry import strips
from models.windows import Window


def paste(canvas: Image, filled: Image, mask: Mask, window: Window) -> None:
    """Copy ``filled`` (the result for ``window.box``) into ``canvas``, in place, where ``mask`` is set in the core.

    Over a ramp it fades into what the tile before left in ``canvas``.
    """
    box, core = window.box, window.core
    rows, columns = slice(core.top, core.bottom), slice(core.left, core.right)
    inner = filled[core.top - box.top : core.bottom - box.top, core.left - box.left : core.right - box.left]
    across, down = (_rising(*axis) for axis in zip((core.width, core.height), window.ramp_px, strict=True))
    for part in strips(core.height):
        below, new = canvas[rows, columns][part], inner[part]
        if any(window.ramp_px):
            weight = (down[part, np.newaxis] * across)[:, :, np.newaxis]
            new = np.rint(new * weight + below * (1 - weight)).astype(np.uint8)
        np.copyto(below, new, where=mask[rows, columns][part, :, np.newaxis] > 0)


def _rising(size: int, ramp_px: int) -> NDArray[np.float32]:
    if ramp_px == 0:
        return np.ones(size, np.float32)
    weight = np.minimum((np.arange(size, dtype=np.float32) + 0.5) / abs(ramp_px), 1)
    return weight if ramp_px > 0 else weight[::-1]
