"""Pasting: what comes back from an engine replaces masked pixels and nothing else."""

import numpy as np
from numpy.typing import NDArray

from models.engine import Image, Mask
from models.windows import Window


def paste(canvas: Image, filled: Image, mask: Mask, window: Window) -> None:
    """Copy ``filled`` (the result for ``window.box``) into ``canvas``, in place, where ``mask`` is set in the core.

    Over a ramp it fades into what the tile before left in ``canvas``.
    """
    box, core = window.box, window.core
    rows, columns = slice(core.top, core.bottom), slice(core.left, core.right)
    inner = filled[core.top - box.top : core.bottom - box.top, core.left - box.left : core.right - box.left]
    if any(window.ramp_px):
        weight = _weight(core.height, core.width, window.ramp_px)
        inner = np.rint(inner * weight + canvas[rows, columns] * (1 - weight)).astype(np.uint8)
    np.copyto(canvas[rows, columns], inner, where=mask[rows, columns, np.newaxis] > 0)


def _weight(height: int, width: int, ramp_px: tuple[int, int]) -> NDArray[np.float32]:
    """Shape ``(H, W, 1)``: 0 to 1 over the ramps, 1 elsewhere."""
    across, down = (
        np.minimum((np.arange(size, dtype=np.float32) + 0.5) / ramp, 1) if ramp else np.ones(size, np.float32)
        for size, ramp in zip((width, height), ramp_px, strict=True)
    )
    return (down[:, np.newaxis] * across)[:, :, np.newaxis]
