"""Means of the known pixels about each pixel: normalised convolution (Knutsson and Westin, 1993) with a Gaussian."""

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import overlapping_strips
from models.strokes.novelty import Bools, Field

SIGMA_PX = 3.0
_TAPS_PX = 12
"""Pixels further away have no weight, in any of the means that are taken here."""

Mean = Callable[[NDArray[Any], Bools], Field]


def mean_about(values: NDArray[Any], known: Bools) -> Field:
    """Of ``values`` ``(H, W, 3)``, where ``known`` ``(H, W)``; zero where nothing is near."""
    weight = known.astype(np.float32)
    sums = cv2.GaussianBlur(values * weight[..., None], (0, 0), SIGMA_PX)
    weights = cv2.GaussianBlur(weight, (0, 0), SIGMA_PX)
    return np.asarray(sums / np.maximum(weights, 1e-3)[..., None], np.float32)


def means_by_strips(values: NDArray[Any], known: Bools, mean: Mean = mean_about) -> Iterator[tuple[slice, Field]]:
    """Some rows, and the means there, ``(rows, W, 3)``: without an array of them all."""
    for rows, wider, strip in overlapping_strips(len(known), _TAPS_PX):
        yield rows, mean(values[wider], known[wider])[strip]
