"""The way back to the window's own size, gone only where the mask will take something from it.

The blocks before it see the whole window; from here on every pixel depends on its near surroundings alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.engine import Mask
from models.engines.lama.layers import Kind, UpConvolution, last_convolution, reflect
from models.engines.lama.parameters import Layout, State

CELL_PX = 8
"""Side of what one place of the blocks' result becomes."""
_BEFORE, _BEHIND = 1, 2
"""Cells on which a cell's pixels depend. The last convolution reaches 3 pixels on either side; in an upsampling the
last pixel depends on the next one, which makes 7 pixels after three of them.
"""
_STEP = 4
"""Cells: areas of few sizes, since oneDNN compiles each layer for each size that it meets."""
_MAX_AREAS = 16
_WORTHWHILE = 0.8
"""Of the whole: areas that cover more are not told apart."""


class Area(NamedTuple):
    """In cells."""

    top: int
    left: int
    bottom: int
    right: int


def areas_of(holes: Tensor) -> list[Area]:
    """Where the pictures of a batch have holes, with what those depend on; apart from each other.

    ``holes``: ``(N, 1, H, W)``, 0 or 1, sides in whole cells.
    """
    cells = functional.max_pool2d(holes.float().amax(0), CELL_PX)[0].gt(0).cpu().numpy().view(np.uint8)
    # A kernel is mirrored against what it reaches: the anchor is the cell that takes from those around it.
    kernel = np.ones((_BEFORE + _BEHIND + 1,) * 2, np.uint8)
    found = _rectangles(np.asarray(cv2.dilate(cells, kernel, anchor=(_BEHIND, _BEHIND)), np.uint8))
    if len(found) > _MAX_AREAS:
        found = _rectangles(_painted([_around(found)], cells.shape))
    covered = sum((area.bottom - area.top) * (area.right - area.left) for area in found)
    return [Area(0, 0, *cells.shape)] if covered > _WORTHWHILE * cells.size else found


class Decoder:
    """``(N, 512, H / 8, W / 8)`` of local and of global channels to ``(N, 3, H, W)`` in 0..1."""

    def __init__(self, state: State, place: Layout, kind: Kind) -> None:
        self._ups = [UpConvolution(state, index, kind) for index in place.ups]
        self._last = last_convolution(state[f"{place.last}.weight"], state[f"{place.last}.bias"], kind)

    def __call__(self, local: Tensor, wide: Tensor, areas: Sequence[Area] | None) -> Tensor:
        """Zeros outside ``areas``; near their borders, only what is further inside than their reach is right."""
        batch, _, height, width = local.shape
        if areas is None or areas == [Area(0, 0, height, width)]:
            return self._decoded(local, wide)
        result = torch.zeros(batch, 3, CELL_PX * height, CELL_PX * width, device=local.device)
        for top, left, bottom, right in areas:
            part = self._decoded(local[:, :, top:bottom, left:right], wide[:, :, top:bottom, left:right])
            rows, columns = slice(CELL_PX * top, CELL_PX * bottom), slice(CELL_PX * left, CELL_PX * right)
            result[:, :, rows, columns] = part
        return result

    def _decoded(self, local: Tensor, wide: Tensor) -> Tensor:
        x = torch.cat([local, wide], dim=1).contiguous(memory_format=torch.channels_last)
        for up in self._ups:
            x = up(x)
        return self._last(reflect(x, 3)).float().sigmoid_()


def _rectangles(reached: Mask) -> list[Area]:
    """Around what hangs together, of sizes in steps, until none touches another."""
    found: list[Area] = []
    while True:
        _, _, stats, _ = cv2.connectedComponentsWithStats(reached, connectivity=8)
        if len(stats) - 1 == len(found):
            return found
        found = [_stepped(box, reached.shape) for box in stats[1:, :4].tolist()]
        reached = _painted(found, reached.shape)


def _stepped(box: Sequence[int], shape: tuple[int, ...]) -> Area:
    left, top, width, height = box
    (top, bottom), (left, right) = _span(top, height, shape[0]), _span(left, width, shape[1])
    return Area(top, left, bottom, right)


def _span(start: int, length: int, limit: int) -> tuple[int, int]:
    """Lengthened to a multiple of the step, where there is room."""
    length = min(-(-length // _STEP) * _STEP, limit)
    start = min(start, limit - length)
    return start, start + length


def _painted(areas: Sequence[Area], shape: tuple[int, ...]) -> Mask:
    cells = np.zeros(shape, np.uint8)
    for top, left, bottom, right in areas:
        cells[top:bottom, left:right] = 1
    return cells


def _around(areas: Sequence[Area]) -> Area:
    ends = np.array(areas)
    top, left = ends[:, :2].min(axis=0).tolist()
    bottom, right = ends[:, 2:].max(axis=0).tolist()
    return Area(top, left, bottom, right)
