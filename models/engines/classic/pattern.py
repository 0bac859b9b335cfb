"""Fills for what repeats: the known ground, shifted by its own periods."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from models.engine import Image
from models.engines.classic.smooth import Unknown, Values, biharmonic, navier_stokes

LONGEST_PX = 160
"""Of a shift."""
_SHIFTS = 48
_MIN_OVERLAP = 0.05
_LEAST, _AS_GOOD = 2.0, 2.0
"""Shifts are as good as the best up to such a mean squared difference, or so many times that of the best."""
_ALWAYS, _FAR_WORSE, _OF_VARIANCE = 16.0, 4.0, 0.1
"""And they are good up to so much, so many times that of the best, and so many times the ground's variance."""
_MOST_BENT_PX = 20_000
_PROJECTION = np.array([0.37, 0.5, 0.13], np.float32)

Reals = NDArray[np.float32]


def pattern(image: Image, unknown: Unknown) -> Values:
    """Copies along the shifts under which the known ground resembles itself most, best first.

    The resemblance of every shift at once is a masked autocorrelation (Padfield, "Masked object registration in the
    Fourier domain", 2012). What no good shift reaches goes on from there smoothly.
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
    values[left] = (biharmonic if left.sum() <= _MOST_BENT_PX else navier_stokes)(rest, still)
    return values


def best_shifts(image: Image, unknown: Unknown) -> list[tuple[int, int]]:
    """Shifts ``(dy, dx)`` of the least mean squared difference between known pixels; of those that are as good, first
    those that bring known pixels onto the most unknown ones. None that is far worse than the best.
    """
    difference, overlap, reached = _differences(image, unknown)
    centre_y, centre_x = difference.shape[0] // 2, difference.shape[1] // 2
    score = np.where(overlap > _MIN_OVERLAP * overlap.max(), difference, np.inf)
    # Local minima only: next to a good shift lie only worse copies of it, and next to none at all is no period.
    lowest = cv2.erode(score.astype(np.float32), np.ones((3, 3), np.uint8))
    usable = (score <= lowest) & np.isfinite(score) & (reached > 0)
    usable[:centre_y] = False  # the other half is its mirror
    usable[centre_y - 2 : centre_y + 3, centre_x - 2 : centre_x + 3] = False
    candidates = np.flatnonzero(usable)
    found = score.ravel()[candidates]
    best = float(found.min(initial=np.inf))
    good = found <= max(_ALWAYS, _FAR_WORSE * best, _OF_VARIANCE * float((image[~unknown] @ _PROJECTION).var()))
    candidates, found = candidates[good], found[good]
    as_good = np.maximum(found, max(_LEAST, _AS_GOOD * best))
    order = np.lexsort((-reached.ravel()[candidates], as_good))[:_SHIFTS]
    return [(int(i) // score.shape[1] - centre_y, int(i) % score.shape[1] - centre_x) for i in candidates[order]]


def _differences(image: Image, unknown: Unknown) -> tuple[Reals, Reals, Reals]:
    """For each shift, zero shift in the centre: the mean squared difference and count of compared pixels, and how many
    unknown pixels it brings known ones onto, there and back.
    """
    height, width = unknown.shape
    reach_y, reach_x = min(LONGEST_PX, height - 1), min(LONGEST_PX, width - 1)
    size = fft.next_fast_len(height + reach_y, real=True), fft.next_fast_len(width + reach_x, real=True)
    mask = (~unknown).astype(np.float32)
    # One channel that no two colours share as a rule: three would cost three times as much.
    values = image.astype(np.float32) @ _PROJECTION
    # Around their mean, so that rounding errors stay small beside the differences.
    values = (values - values[~unknown].mean()) * mask if mask.any() else values * 0
    known, first, second, hole = (fft.rfft2(array, size) for array in (mask, values, values * values, 1 - mask))
    counts = fft.irfft2(known * known.conj(), size)
    squares = second * known.conj()
    total = fft.irfft2(squares + squares.conj() - 2 * first * first.conj(), size)
    onto = known * hole.conj()
    reached = fft.irfft2(onto + onto.conj(), size)
    wanted = np.ix_(np.arange(-reach_y, reach_y + 1) % size[0], np.arange(-reach_x, reach_x + 1) % size[1])
    overlap = np.maximum(np.round(counts[wanted]), 0)
    return np.maximum(total[wanted], 0) / np.maximum(overlap, 1), overlap, np.round(reached[wanted])
