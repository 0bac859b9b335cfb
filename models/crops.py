"""Plans: which windows of the image the engine runs over. Pure functions of mask, options and limits.

``Original``, ``Crop`` and ``Resize`` mean what they mean in IOPaint 1.6.0 (``iopaint/model/base.py``), to the pixel.
``Auto`` cuts few windows with real context around what is masked.
"""

import itertools
from dataclasses import dataclass

import cv2

from models.engine import Mask
from models.geometry import Box
from models.job import HDOptions, HDStrategy

_CONTEXT_PX = 64
_MERGE_FACTOR = 1.2
"""Two windows become one when that has at most so many times their pixels."""
_ALIGN_PX = 8
"""Sizes are multiples of this where the image allows, so that engines need not pad."""


@dataclass(frozen=True, slots=True)
class Window:
    """One run of the engine over ``box``; only masked pixels within ``core`` are taken from the result."""

    box: Box
    core: Box


@dataclass(frozen=True, slots=True)
class Plan:
    """``scale_to`` set: the one window is run shrunk to that longest side (``Resize``).

    ``chained``: each window sees the fills of those before it (tiles of one large hole).
    """

    strategy: HDStrategy
    windows: tuple[Window, ...]
    scale_to: int | None = None
    chained: bool = False
    notes: tuple[str, ...] = ()


def plan(mask: Mask, options: HDOptions, max_window_px: int) -> Plan:
    """``max_window_px`` bounds the longest side of one run; beyond it ``Original`` and ``Resize`` become ``Auto``."""
    height, width = mask.shape
    whole = Box(0, 0, width, height)
    longest, strategy = max(width, height), options.strategy
    if not mask.any():
        return Plan(strategy, ())
    planned = Plan(strategy, (Window(whole, whole),))
    fits = longest <= max_window_px
    if strategy is HDStrategy.CROP and longest > options.crop_trigger_size:
        boxes = [_iopaint_crop(box, options.crop_margin, width, height) for box in mask_boxes(mask)]
        planned = Plan(strategy, tuple(Window(box, box) for box in boxes))
        fits = all(max(box.width, box.height) <= max_window_px for box in boxes)
    elif strategy is HDStrategy.RESIZE and longest > options.resize_limit:
        planned = Plan(strategy, (Window(whole, whole),), scale_to=options.resize_limit)
        fits = options.resize_limit <= max_window_px
    elif strategy is HDStrategy.AUTO:
        return _auto(mask, max_window_px)
    return planned if fits else _auto(mask, max_window_px, _too_large(strategy, max_window_px))


def mask_boxes(mask: Mask) -> list[Box]:
    """Bounding boxes of the mask's outer contours, in OpenCV's order, as IOPaint finds them."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = (cv2.boundingRect(contour) for contour in contours)
    return [Box(x, y, x + w, y + h) for x, y, w, h in boxes]


def _too_large(strategy: HDStrategy, max_window_px: int) -> tuple[str, ...]:
    return (f"{strategy} would run over more than {max_window_px} pixels a side (MAX_IMAGE_SIZE); Auto was used.",)


def _iopaint_crop(box: Box, margin: int, width: int, height: int) -> Box:
    """IOPaint's crop: margin on every side, shifted inwards at the borders to keep its size."""
    cx, cy = (box.left + box.right) // 2, (box.top + box.bottom) // 2
    left, right = _span(cx, box.width + 2 * margin, width)
    top, bottom = _span(cy, box.height + 2 * margin, height)
    return Box(left, top, right, bottom)


def _span(center: int, size: int, limit: int) -> tuple[int, int]:
    low, high = center - size // 2, center + size // 2
    first, last = max(low, 0), min(high, limit)
    if low < 0:
        last += -low
    if high > limit:
        first -= high - limit
    return max(first, 0), min(last, limit)


def _auto(mask: Mask, max_window_px: int, notes: tuple[str, ...] = ()) -> Plan:
    height, width = mask.shape
    merged = _merge([Window(_with_context(box, width, height), box) for box in mask_boxes(mask)])
    tiled = [_tiles(window, max_window_px) for window in merged]
    # Windows overlap only in context, unless tiled: then later ones must see what earlier ones filled.
    chained = any(len(tiles) > 1 for tiles in tiled)
    return Plan(HDStrategy.AUTO, tuple(itertools.chain(*tiled)), chained=chained, notes=notes)


def _with_context(box: Box, width: int, height: int) -> Box:
    context = max(_CONTEXT_PX, min(box.width, box.height))
    left, right = _aligned(box.left - context, box.right + context, width)
    top, bottom = _aligned(box.top - context, box.bottom + context, height)
    return Box(left, top, right, bottom)


def _aligned(low: int, high: int, limit: int) -> tuple[int, int]:
    """Within ``0..limit``, a multiple of the alignment long where it fits, of real pixels."""
    low, high = max(0, low), min(limit, high)
    size = min(limit, -(-(high - low) // _ALIGN_PX) * _ALIGN_PX)
    low = max(0, min(low, limit - size))
    return low, low + size


def _merge(windows: list[Window]) -> list[Window]:
    """Join windows while one costs less than two; order by position, so that the plan is canonical."""
    merged = sorted(windows, key=lambda w: (w.box.top, w.box.left, w.box.bottom, w.box.right))
    index = 0
    while index < len(merged):
        for other in range(index + 1, len(merged)):
            union = merged[index].box.union(merged[other].box)
            if union.area <= _MERGE_FACTOR * (merged[index].box.area + merged[other].box.area):
                merged[index] = Window(union, merged[index].core.union(merged[other].core))
                del merged[other]
                index = -1  # a larger box may now swallow earlier ones
                break
        index += 1
    return merged


def _tiles(window: Window, max_window_px: int) -> list[Window]:
    """Tiles whose cores partition the window's core, each with context around it, up to the largest window."""
    box, core = window.box, window.core
    if max(box.width, box.height) <= max_window_px:
        return [window]
    context = min(_CONTEXT_PX, max_window_px // 4)
    rows = _cuts(core.top, core.bottom, max_window_px - 2 * context)
    columns = _cuts(core.left, core.right, max_window_px - 2 * context)
    return [
        Window(
            Box(
                max(box.left, left - context),
                max(box.top, top - context),
                min(box.right, right + context),
                min(box.bottom, bottom + context),
            ),
            Box(left, top, right, bottom),
        )
        for top, bottom in rows
        for left, right in columns
    ]


def _cuts(low: int, high: int, step: int) -> list[tuple[int, int]]:
    count = -(-(high - low) // step)
    edges = [low + (high - low) * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))
