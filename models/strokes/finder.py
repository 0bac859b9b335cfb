"""Finds the strokes of the text within a region, so that only they are replaced.

What the rim around the region explains is background; what it cannot explain, in pieces that stay inside the region,
is text. Then the mask grows over soft edges and shadows until what it ends in is background.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.engine import Image
from models.geometry import Box
from models.strokes.background import (
    Bools,
    Field,
    local_residual,
    near_main_colours,
    palette_distance,
    smooth_distance,
    to_lab,
)

_LEAST_DISTANCE = 7.0
"""CIELAB: fainter text than this on its background is not looked for."""
_HYSTERESIS = 0.45
_SMOOTH_SHARE, _SMOOTH_SPREAD = 0.6, 3.0
"""A rim that a quadratic surface explains to this share, within this spread, is a smooth background."""
_LEAST_RIM_PX = 40
_NEAR_PX = 4
_KERNEL = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Strokes:
    """``mask``: bool, of the shape of ``box``. ``confidence``: 0 (do not use) to 1."""

    box: Box
    mask: Bools
    confidence: float


def find_strokes(image: Image, regions: Sequence[tuple[Box, Bools]]) -> list[Strokes]:
    """Strokes per region; each region is its box, clipped to the image, and which of the box's pixels it covers."""
    occupied = np.zeros(image.shape[:2], bool)
    for box, cover in regions:
        occupied[box.top : box.bottom, box.left : box.right] |= cover
    return [_find(image, box, cover, occupied) for box, cover in regions]


def strokes_in_crop(image: Image, box: Box, occupied: Bools) -> Bools:
    """Strokes in the whole of ``box``, where ``occupied`` (of the image's shape) is not background."""
    return _find(image, box, np.ones((box.height, box.width), bool), occupied).mask


def _find(image: Image, box: Box, cover: Bools, occupied: Bools) -> Strokes:
    pad = int(np.clip(min(box.width, box.height) // 3, 8, 20))
    outer = Box(box.left - pad, box.top - pad, box.right + pad, box.bottom + pad)
    outer = outer.clip(image.shape[1], image.shape[0])
    lab = to_lab(np.ascontiguousarray(image[outer.top : outer.bottom, outer.left : outer.right]))
    top, left = box.top - outer.top, box.left - outer.left
    inside = np.zeros(lab.shape[:2], bool)
    inside[top : top + box.height, left : left + box.width] = cover
    rim = ~occupied[outer.top : outer.bottom, outer.left : outer.right]
    trust = 1.0
    if np.count_nonzero(rim) < max(_LEAST_RIM_PX, 0.02 * inside.sum()):
        rim |= inside & ~cv2.erode(inside.astype(np.uint8), _KERNEL, borderValue=0).astype(bool)
        trust = 0.6
    mask, confidence = _segment(lab, inside, rim)
    return Strokes(box, mask[top : top + box.height, left : left + box.width], round(trust * confidence, 3))


def _segment(lab: Field, inside: Bools, rim: Bools) -> tuple[Bools, float]:
    near = rim & _dilated(inside, _NEAR_PX)
    smooth = False
    # What touches the region tells most: further out may be a sign's frame, or another ground.
    for ring in (near, rim):
        if ring.sum() >= _LEAST_RIM_PX and not smooth:
            distance, share, spread = smooth_distance(lab, ring)
            smooth = share >= _SMOOTH_SHARE and spread <= _SMOOTH_SPREAD
    if smooth:
        noise = 4 * spread
    else:
        distance, noise = palette_distance(lab, rim)
    high = max(_otsu(distance[inside]), 1.15 * noise, _LEAST_DISTANCE)
    low = max(_HYSTERESIS * high, min(0.8 * noise, 0.9 * high), 3.0)
    core = _whole_pieces(distance, low, high, inside, rim)
    if not core.any():
        return core, 0.0
    if not smooth:
        core = _with_alike(lab, core, inside, rim)
    mask = _grow(lab, core, inside, rim, smooth)
    return mask, _confidence(distance, mask, inside, noise, smooth)


def _otsu(values: Field) -> float:
    top = float(values.max()) or 1.0
    scaled = np.rint(values * (255 / top)).astype(np.uint8)
    threshold, _ = cv2.threshold(scaled.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(threshold) * top / 255


def _whole_pieces(distance: Field, low: float, high: float, inside: Bools, rim: Bools) -> Bools:
    """Pieces above ``low`` that reach ``high`` inside the region and do not mostly lie in the rim (frames, drawing)."""
    candidate = (distance > low) & (inside | rim)
    count, labels = cv2.connectedComponents(candidate.astype(np.uint8), connectivity=8)
    reached = np.bincount(labels[inside & (distance > high)], minlength=count) > 0
    within = np.bincount(labels[inside], minlength=count)
    without = np.bincount(labels[rim & ~inside], minlength=count)
    chosen = reached & (without <= 0.35 * within)
    chosen[0] = False
    return np.asarray(chosen[labels] & inside, bool)


def _with_alike(lab: Field, core: Bools, inside: Bools, rim: Bools) -> Bools:
    """Add pieces in the strokes' own colours, no thicker than the strokes: also where the rim has such colours."""
    solid = cv2.erode(core.astype(np.uint8), _KERNEL, borderValue=0).astype(bool)
    if solid.sum() < 20:
        return core
    alike = near_main_colours(lab, solid, 10.0) & (inside | rim)
    thickness = cv2.distanceTransform(core.astype(np.uint8), cv2.DIST_L2, 3)
    limit = 1.3 * float(np.quantile(thickness[solid], 0.98)) + 1
    depth = cv2.distanceTransform(alike.astype(np.uint8), cv2.DIST_L2, 3)
    count, labels = cv2.connectedComponents(alike.astype(np.uint8), connectivity=8)
    area = np.bincount(labels.ravel(), minlength=count)
    within = np.bincount(labels[inside], minlength=count)
    thick = np.bincount(labels[depth > limit], minlength=count) > 0
    chosen = ~thick & (within >= 0.8 * area) & (area >= 8)
    chosen[0] = False
    return np.asarray(core | (chosen[labels] & inside), bool)


def _grow(lab: Field, core: Bools, inside: Bools, rim: Bools, smooth: bool) -> Bools:
    """Over soft edges and shadows: pixels near the mask that differ from the known background near them."""
    known = (rim | inside) & ~_dilated(core, 3)
    if not known.any():
        return _dilated(core, 1) & inside
    residual, noise = local_residual(lab, known, 5.0)
    differs = inside & (residual > np.maximum(2.0 if smooth else 4.0, 2.2 * noise))
    mask = core
    for _ in range(4):
        mask = core | (_dilated(mask, 1) & differs)
    return _dilated(mask, 1) & inside


def _dilated(mask: Bools, radius_px: int) -> Bools:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), bool)


def _confidence(distance: Field, mask: Bools, inside: Bools, noise: float, smooth: bool) -> float:
    """How far apart strokes and the rest of the region are, and whether the share that is masked looks like text."""
    rest = inside & ~_dilated(mask, 2)
    if rest.sum() < 0.1 * inside.sum():
        rest = inside & ~mask
    masked_share = mask.sum() / inside.sum()
    if not rest.any() or masked_share < 0.005:
        return 0.0
    strokes, remainder = distance[mask], distance[rest]
    apart = float(np.quantile(strokes, 0.6) - np.quantile(remainder, 0.95))
    clear = np.clip(apart / max(12.0, 1.5 * noise), 0, 1)
    # Small dense text on a plain ground fills its box; on a pattern the same share means that the pattern was taken.
    most = 1.0 if smooth else 0.75
    texture_like = np.clip((most - masked_share) / 0.1, 0, 1)
    return float(clear * texture_like * (1.0 if smooth else 0.9))
