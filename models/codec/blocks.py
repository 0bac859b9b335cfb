"""The blocks of a JPEG's colour: as far as the colour of one pixel reaches when the file is made."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from models.geometry import Box

_BLOCK = 8
"""Samples a side of one transform."""
_FLIPPED_ACROSS, _FLIPPED_DOWN = frozenset({2, 3, 6, 7}), frozenset({3, 4, 7, 8})
"""EXIF orientations that put the file's first column on the right, its first row at the bottom (after any turn)."""


@dataclass(frozen=True, slots=True)
class ColourBlocks:
    """Of ``width`` x ``height`` pixels of the upright picture; one of them begins at ``left``, ``top``."""

    width: int
    height: int
    left: int = 0
    top: int = 0

    @property
    def of_brightness(self) -> "ColourBlocks":
        """The blocks over which the same file spreads brightness."""
        return ColourBlocks(_BLOCK, _BLOCK, self.left, self.top)

    def around(self, box: Box) -> Box:
        """What ``touched`` can mark for a mask in that box; not clipped to any picture."""
        left, right = _whole(box.left - self.left, box.right - self.left, self.width)
        top, bottom = _whole(box.top - self.top, box.bottom - self.top, self.height)
        return Box(left, top, right, bottom).moved(self.left, self.top)

    def touched(self, mask: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
        """Of a mask of the box's shape: the pixels whose colour depends on it. Decoders blend over one pixel more."""
        rows = (np.arange(box.top, box.bottom) - self.top) // self.height
        columns = (np.arange(box.left, box.right) - self.left) // self.width
        rows, columns = rows - rows[0], columns - columns[0]
        hit = np.zeros((rows[-1] + 1, columns[-1] + 1), bool)
        ys, xs = np.nonzero(_grown(mask))
        hit[rows[ys], columns[xs]] = True
        return _grown(hit[np.ix_(rows, columns)])


def colour_blocks(image: PILImage.Image, orientation: int) -> ColourBlocks | None:
    """Of an opened file, whose upright picture the blocks are counted in. None: it is no JPEG of RGB or grey."""
    layers: Any = getattr(image, "layer", None)
    if not layers or (image.mode, len(layers)) not in {("RGB", 3), ("L", 1)}:
        return None
    # The last component is a colour, or, of grey pictures, the brightness.
    width, height = (_BLOCK * max(layer[axis] for layer in layers) // layers[-1][axis] for axis in (1, 2))
    across, down = image.size
    if orientation >= 5:
        width, height, across, down = height, width, down, across
    left = -(-across % width) if orientation in _FLIPPED_ACROSS else 0
    top = -(-down % height) if orientation in _FLIPPED_DOWN else 0
    return ColourBlocks(width, height, left, top)


def _whole(low: int, high: int, size: int) -> tuple[int, int]:
    return (low - 1) // size * size - 1, -(-(high + 1) // size) * size + 1


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
