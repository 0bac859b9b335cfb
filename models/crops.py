"""Plans: which windows of the image the engine runs over. Pure functions of mask, options and limits.

``Original``, ``Crop`` and ``Resize`` mean what they mean in IOPaint 1.6.0 (``iopaint/model/base.py``), to the pixel;
but a crop without a margin holds all of its spot, of which IOPaint leaves out an odd last row and column.
``Auto`` cuts few windows with real context around what is masked (``models.auto_crops``).
"""

from dataclasses import replace

import cv2

from models.auto_crops import auto_windows
from models.costs import WindowCosts
from models.engine import Mask
from models.geometry import Box
from models.job import HDOptions, HDStrategy
from models.windows import Plan, Window

_MAX_CROPS = 1000
"""Of one picture by ``Crop``; a dotted mask would have a million."""


def plan(mask: Mask, options: HDOptions, max_window_px: int, costs: WindowCosts) -> Plan:
    """``max_window_px`` bounds the longest side of one run; beyond it all others become ``Auto``, and so does ``Crop``
    where there are too many spots. ``costs`` are those of the engine that will run it.
    """
    planned = _planned(mask, options, max_window_px, costs)
    return replace(planned, notes=planned.notes + _unfounded(mask, planned))


def _planned(mask: Mask, options: HDOptions, max_window_px: int, costs: WindowCosts) -> Plan:
    height, width = mask.shape
    whole = Box(0, 0, width, height)
    longest, strategy = max(width, height), options.strategy
    if not mask.any():
        return Plan(strategy, ())
    planned = Plan(strategy, (Window(whole, whole),))
    fits = longest <= max_window_px
    if strategy is HDStrategy.CROP and longest > options.crop_trigger_size:
        if cv2.connectedComponents(mask)[0] > _MAX_CROPS + 1:
            note = f"{strategy} would run over more than {_MAX_CROPS} spots one by one; Auto was used."
            return Plan(HDStrategy.AUTO, auto_windows(mask, max_window_px, costs), notes=(note,))
        boxes = [_iopaint_crop(box, options.crop_margin, width, height) for box in mask_boxes(mask)]
        planned = Plan(strategy, tuple(Window(box, box) for box in boxes))
        fits = all(max(box.width, box.height) <= max_window_px for box in boxes)
    elif strategy is HDStrategy.RESIZE and longest > options.resize_limit:
        planned = Plan(strategy, (Window(whole, whole),), scale_to=options.resize_limit)
        fits = options.resize_limit <= max_window_px
    elif strategy is HDStrategy.AUTO:
        return Plan(strategy, auto_windows(mask, max_window_px, costs))
    if fits:
        return planned
    windows = auto_windows(mask, max_window_px, costs)
    return Plan(HDStrategy.AUTO, windows, notes=_too_large(strategy, max_window_px))


def mask_boxes(mask: Mask) -> list[Box]:
    """Bounding boxes of the mask's outer contours, in OpenCV's order, as IOPaint finds them."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = (cv2.boundingRect(contour) for contour in contours)
    return [Box(x, y, x + w, y + h) for x, y, w, h in boxes]


def _too_large(strategy: HDStrategy, max_window_px: int) -> tuple[str, ...]:
    return (f"{strategy} would run over more than {max_window_px} pixels a side (MAX_IMAGE_SIZE); Auto was used.",)


def _unfounded(mask: Mask, planned: Plan) -> tuple[str, ...]:
    """Tiles after the first go on from what it has filled."""
    first = (window for window in planned.windows if not any(window.ramp_px))
    if not any(mask[window.box.slices].all() for window in first):
        return ()
    return ("A window of the picture is masked all over; nothing around it is known, so what fills it is a guess.",)


def _iopaint_crop(box: Box, margin: int, width: int, height: int) -> Box:
    """IOPaint's crop: margin on every side, shifted inwards at the borders to keep its size; and all of the box."""
    cx, cy = (box.left + box.right) // 2, (box.top + box.bottom) // 2
    left, right = _span(cx, box.width + 2 * margin, width)
    top, bottom = _span(cy, box.height + 2 * margin, height)
    return Box(left, top, right, bottom).union(box)


def _span(center: int, size: int, limit: int) -> tuple[int, int]:
    low, high = center - size // 2, center + size // 2
    first, last = max(low, 0), min(high, limit)
    if low < 0:
        last += -low
    if high > limit:
        first -= high - limit
    return max(first, 0), min(last, limit)
