"""Ground that needs no trial: of one colour, or so evenly shaded that one surface meets it all around the holes."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.engine import Image
from models.engines.classic.groups import Group
from models.engines.classic.smooth import Unknown, Values, fit_surface, quadratic, surface_at

_RING_PX = 3
_NEAR_PX = 6
_FLAT_LEVELS = 1
_OFF_LEVELS = 3.0
_EXPLAINED = 0.92
_SMOOTH_ENOUGH = 1.0
"""A surface that is at most so many levels off for such a share of the ring, and so many in the mean (RMS), is it."""
_LEAST_KNOWN_PX = 30


@dataclass(frozen=True, slots=True)
class Plain:
    """``values``: of the group's pixels, ``(N, 3)``. ``error``: of the ring that is explained, RMS."""

    values: Values
    error: float


def plain(image: Image, unknown: Unknown, group: Group) -> Plain | None:
    """None: not that plain. ``image`` and ``unknown`` are the group's window.

    Only what touches the holes counts: a sign's or a button's ground, whatever lies further out.
    """
    box = group.inner
    near = (
        slice(max(0, box.top - _NEAR_PX), box.bottom + _NEAR_PX),
        slice(max(0, box.left - _NEAR_PX), box.right + _NEAR_PX),
    )
    image, unknown, ours = image[near], unknown[near], group.ours[near]
    ring = around(ours, _RING_PX) & ~unknown
    if int(ring.sum()) < _LEAST_KNOWN_PX:
        return None
    ground = image[ring]
    spread = int(np.ptp(ground, axis=0).max())
    if spread <= _FLAT_LEVELS:
        colour = np.median(ground, axis=0).astype(np.float32)
        return Plain(np.broadcast_to(colour, (int(ours.sum()), 3)), 0.0)
    rows, columns = np.nonzero(ring)
    solution = fit_surface(image, rows, columns)
    wrong = np.abs(np.round(quadratic(rows, columns, ring.shape) @ solution) - ground).max(axis=1)
    explained = wrong <= _OFF_LEVELS
    error = float(np.sqrt((wrong[explained] ** 2).mean())) if explained.any() else np.inf
    if explained.mean() < _EXPLAINED or error > _SMOOTH_ENOUGH:
        return None
    return Plain(surface_at(ours, solution), error)


def around(mask: Unknown, reach_px: int) -> Unknown:
    """Pixels up to so far from the mask, and the mask itself."""
    size = 2 * reach_px + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)
