"""Whether a fill goes on where the known ground ends: what a trial beside it cannot tell."""

import cv2
import numpy as np

from models.engine import Image
from models.engines.classic.groups import Group
from models.engines.classic.smooth import Unknown, Values

_AROUND_PX = 8
_TIMES = 3.0
_USUAL = 0.9
_LEVELS = 4.0
"""A step from known to filled pixels may be so many times those of the ground, and so many levels more."""


def continues(image: Image, unknown: Unknown, group: Group, values: Values) -> bool:
    """``image`` and ``unknown`` are the group's window; ``values`` those of its pixels, ``(N, 3)``."""
    box = group.inner
    near = (
        slice(max(0, box.top - _AROUND_PX), box.bottom + _AROUND_PX),
        slice(max(0, box.left - _AROUND_PX), box.right + _AROUND_PX),
    )
    canvas = image.astype(np.float32)
    canvas[group.ours] = values
    canvas, ours, known = canvas[near], group.ours[near], ~unknown[near]
    around = known & (cv2.dilate(ours.astype(np.uint8), np.ones((2 * _AROUND_PX + 1,) * 2, np.uint8)) > 0)
    seam, ground = [], []
    for axis in (0, 1):
        step = np.abs(np.diff(canvas, axis=axis)).mean(axis=2)
        pairs = [(np.delete(one, -1, axis), np.delete(one, 0, axis)) for one in (ours, known, around)]
        (ours_a, ours_b), (known_a, known_b), (around_a, around_b) = pairs
        seam.append(step[(ours_a & known_b) | (known_a & ours_b)])
        ground.append(step[around_a & around_b])
    at_seam, beside = np.concatenate(seam), np.concatenate(ground)
    if not len(at_seam) or not len(beside):
        return True
    return _usual(at_seam) <= _TIMES * _usual(beside) + _LEVELS


def _usual(steps: Values) -> float:
    """Their mean, without those at frames and at what is left of letters."""
    return float(steps[steps <= np.quantile(steps, _USUAL)].mean())
