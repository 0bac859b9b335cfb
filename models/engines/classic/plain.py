"""Ground that needs no trial: of one colour, or so evenly shaded that one surface meets it everywhere around."""

from dataclasses import dataclass

import cv2
import numpy as np

from models.engine import Image
from models.engines.classic.groups import Group
from models.engines.classic.smooth import Unknown, Values, fit_surface, quadratic, surface_at

_NEAR_PX = 12
_RING_PX = 3
_SMOOTH_ENOUGH = 1.0
"""Levels that the surface may be off, but for one pixel in a hundred."""
_FLAT_LEVELS = 1
_LEAST_KNOWN_PX = 30


@dataclass(frozen=True, slots=True)
class Plain:
    """``values``: of the group's pixels, ``(N, 3)``. ``error``: the greatest common error on the ground around."""

    values: Values
    error: float


def plain(image: Image, unknown: Unknown, group: Group) -> Plain | None:
    """None: not that plain. ``image`` and ``unknown`` are the group's window."""
    box = group.inner
    near = (
        slice(max(0, box.top - _NEAR_PX), box.bottom + _NEAR_PX),
        slice(max(0, box.left - _NEAR_PX), box.right + _NEAR_PX),
    )
    return _flat(image[near], unknown[near], group.ours[near]) or _shaded(image[near], unknown[near], group.ours[near])


def _flat(image: Image, unknown: Unknown, ours: Unknown) -> Plain | None:
    """What touches the holes is of one colour: a sign's or a button's ground, whatever lies further out."""
    size = 2 * _RING_PX + 1
    ring = image[(cv2.dilate(ours.astype(np.uint8), np.ones((size, size), np.uint8)) > 0) & ~unknown]
    if len(ring) < _LEAST_KNOWN_PX:
        return None
    spread = int(np.ptp(ring, axis=0).max())
    if spread > _FLAT_LEVELS:
        return None
    colour = np.median(ring, axis=0).astype(np.float32)
    return Plain(np.broadcast_to(colour, (int(ours.sum()), 3)), float(spread))


def _shaded(image: Image, unknown: Unknown, ours: Unknown) -> Plain | None:
    known = ~unknown
    rows, columns = np.nonzero(known)
    if len(rows) < _LEAST_KNOWN_PX:
        return None
    solution = fit_surface(image, rows, columns)
    wrong = np.abs(np.round(quadratic(rows, columns, known.shape) @ solution) - image[known]).max(axis=1)
    error = float(np.quantile(wrong, 0.99))
    if error > _SMOOTH_ENOUGH:
        return None
    return Plain(surface_at(ours, solution), error)
