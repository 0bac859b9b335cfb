"""Fills for what repeats: the known ground, shifted by its own periods."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.engines.classic.smooth import Unknown, Values, navier_stokes

_LONGEST_PX = 160
"""Of a shift."""
_SHIFTS = 48
_MIN_OVERLAP = 0.05


def pattern(image: Image, unknown: Unknown) -> Values:
    """Copies along the shifts under which the known ground resembles itself most, best first.

    The resemblance of every shift at once is a masked autocorrelation (Padfield, "Masked object registration in the
    Fourier domain", 2012). What no shift reaches is filled by diffusion.
    """
    rows, columns = np.nonzero(unknown)
    values = np.zeros((len(rows), 3), np.float32)
    left = np.ones(len(rows), bool)
    height, width = unknown.shape
    for dy, dx in best_shifts(image, unknown):
        for sign in (1, -1):
            y, x = rows + sign * dy, columns + sign * dx
            there = left & (y >= 0) & (y < height) & (x >= 0) & (x < width)
            there[there] &= ~unknown[y[there], x[there]]
            values[there] = image[y[there], x[there]]
            left &= ~there
        if not left.any():
            return values
    rest = image.copy()
    rest[rows[~left], columns[~left]] = np.round(values[~left])
    still = np.zeros_like(unknown)
    still[rows[left], columns[left]] = True
    values[left] = navier_stokes(rest, still)
    return values


def best_shifts(image: Image, unknown: Unknown) -> list[tuple[int, int]]:
    """The shifts ``(dy, dx)`` of the least mean squared difference between known pixels, best first."""
    difference, overlap = _differences(image, unknown)
    centre_y, centre_x = difference.shape[0] // 2, difference.shape[1] // 2
    usable = overlap > _MIN_OVERLAP * overlap.max()
    score = np.where(usable, difference, np.inf)
    score[centre_y - 2 : centre_y + 3, centre_x - 2 : centre_x + 3] = np.inf
    score[:centre_y] = np.inf  # the other half is its mirror
    # Local minima only: next to a good shift lie only worse copies of it.
    lowest = cv2.erode(score.astype(np.float32), np.ones((3, 3), np.uint8))
    candidates = np.flatnonzero((score <= lowest) & np.isfinite(score))
    order = np.argsort(score.ravel()[candidates], kind="stable")[:_SHIFTS]
    return [(int(i) // score.shape[1] - centre_y, int(i) % score.shape[1] - centre_x) for i in candidates[order]]


def _differences(image: Image, unknown: Unknown) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean squared difference and count of compared pixels for each shift, zero shift in the centre."""
    height, width = unknown.shape
    reach_y, reach_x = min(_LONGEST_PX, height - 1), min(_LONGEST_PX, width - 1)
    size = (cv2.getOptimalDFTSize(height + reach_y), cv2.getOptimalDFTSize(width + reach_x))
    mask = (~unknown).astype(np.float64)
    transform = np.fft.rfft2(mask, size)
    counts = np.fft.irfft2(transform * transform.conj(), size)
    total = np.zeros(size)
    # Around their mean, so that rounding errors stay small beside the differences.
    for channel in range(3):
        values = image[:, :, channel].astype(np.float64)
        values = (values - values[~unknown].mean()) * mask if mask.any() else values
        first, second = np.fft.rfft2(values, size), np.fft.rfft2(values * values, size)
        cross = np.fft.irfft2(first * first.conj(), size)
        squares = np.fft.irfft2(second * transform.conj(), size)
        mirrored = np.fft.irfft2(transform * second.conj(), size)
        total += squares + mirrored - 2 * cross
    wanted_y = np.arange(-reach_y, reach_y + 1) % size[0]
    wanted_x = np.arange(-reach_x, reach_x + 1) % size[1]
    overlap = np.maximum(np.round(counts[np.ix_(wanted_y, wanted_x)]), 0)
    difference = np.maximum(total[np.ix_(wanted_y, wanted_x)], 0) / np.maximum(overlap, 1)
    return difference, overlap
