"""Pasting: what comes back from an engine replaces masked pixels and nothing else."""

import numpy as np

from models.crops import Window
from models.engine import Image, Mask


def paste(canvas: Image, filled: Image, mask: Mask, window: Window) -> None:
    """Copy ``filled`` (the result for ``window.box``) into ``canvas``, in place, where ``mask`` is set in the core."""
    box, core = window.box, window.core
    rows, columns = slice(core.top, core.bottom), slice(core.left, core.right)
    inner = filled[core.top - box.top : core.bottom - box.top, core.left - box.left : core.right - box.left]
    np.copyto(canvas[rows, columns], inner, where=mask[rows, columns, np.newaxis] > 0)
