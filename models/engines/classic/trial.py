"""The choice of a fill by evidence: the very same mask, shifted over known ground, filled by every candidate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.engines.classic.smooth import Unknown, Values
from models.geometry import Box

Fill = Callable[[Image, Unknown], Values]


@dataclass(frozen=True, slots=True)
class Candidate:
    """``cost``: work per call in microseconds of one core, from the numbers of pixels in the window and in the hole."""

    name: str
    fill: Fill
    cost: Callable[[int, int], float]


@dataclass(frozen=True, slots=True)
class Choice:
    """``error``: root mean square over channels in the trial, 0 to 255; None when nothing could be tried."""

    name: str
    error: float | None


_GAP_PX = 4
_MIN_TRIED = 0.3
"""Share of the mask that must lie on known ground for a shift to be evidence."""
_GOOD_ENOUGH = 0.6
"""Levels of error that no later candidate can improve visibly: about what rounding alone gives."""
_TRIALS = 2
_TRIED_PX = 200
"""Of a long line only so much, its middle, is tried."""
_MARGIN_PX = 40
_BUDGET_US = 120_000.0
_BUDGET_US_PER_PX = 8.0
"""What the trial, and the fill that it chose, may cost: so much, and more for larger holes."""


def trial_shifts(unknown: Unknown, group: Box) -> list[tuple[int, int]]:
    """Shifts ``(dy, dx)`` that bring the group's mask onto known ground of the window, the best evidence first."""
    box = slice(group.top, group.bottom), slice(group.left, group.right)
    hole = np.zeros_like(unknown)
    hole[box] = unknown[box]
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    total = max(1, int(hole.sum()))
    found = []
    for order, (dy, dx) in enumerate(_shifts(group)):
        share = int((_shifted(hole, dy, dx) & ~near).sum()) / total
        if share >= _MIN_TRIED:
            found.append((-round(share, 1), order, (dy, dx)))
    return [shift for _, _, shift in sorted(found)[:_TRIALS]]


def _shifts(group: Box) -> list[tuple[int, int]]:
    down, across = group.height + _GAP_PX, group.width + _GAP_PX
    small_down, small_across = max(3, group.height // 3), max(3, min(group.width // 3, group.height // 2))
    return [
        (down, 0), (-down, 0), (0, across), (0, -across),
        (down // 2, 0), (-down // 2, 0),
        (small_down, small_across), (-small_down, -small_across), (small_down, -small_across),
        (-small_down, small_across), (0, small_across), (0, -small_across),
    ]  # fmt: skip


def _shifted(mask: NDArray[np.bool_], dy: int, dx: int) -> NDArray[np.bool_]:
    """Moved by ``(dy, dx)``; what leaves the window is lost."""
    height, width = mask.shape
    moved = np.zeros_like(mask)
    if abs(dy) >= height or abs(dx) >= width:
        return moved
    moved[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)] = mask[
        max(0, -dy) : height + min(0, -dy), max(0, -dx) : width + min(0, -dx)
    ]
    return moved


def choose(
    image: Image, unknown: Unknown, group: Box, candidates: Sequence[Candidate], fallback: Candidate
) -> tuple[Candidate, Choice]:
    """Try the candidates, cheapest first, until one is good enough or the budget is spent.

    Without known ground beside the mask nothing can be tried: the fallback it is.
    """
    missing = int(unknown.sum())
    budget = _BUDGET_US + _BUDGET_US_PER_PX * missing
    affordable = [one for one in candidates if one.cost(unknown.size, missing) <= budget]
    image, unknown, group = _middle(image, unknown, group)
    trial = _prepare(image, unknown, group)
    if trial is None:
        return fallback, Choice(fallback.name, None)
    pixels, missing = trial.unknown.size, int(trial.unknown.sum())
    best, best_error, spent = fallback, np.inf, 0.0
    for candidate in sorted(affordable, key=lambda one: one.cost(pixels, missing)):
        spent += candidate.cost(pixels, missing)
        if spent > budget and np.isfinite(best_error):
            break
        error = trial.error(candidate.fill)
        if error < best_error:
            best, best_error = candidate, error
        if best_error < _GOOD_ENOUGH:
            break
    return best, Choice(best.name, round(float(best_error), 3))


@dataclass(frozen=True, slots=True)
class Trial:
    """``tested``: of the unknown values those that are known after all, and ``truth`` what they are."""

    image: Image
    unknown: Unknown
    tested: NDArray[np.bool_]
    truth: Values

    def error(self, fill: Fill) -> float:
        guess = np.round(fill(self.image, self.unknown)[self.tested])
        return float(np.sqrt(((guess - self.truth) ** 2).mean()))


def _prepare(image: Image, unknown: Unknown, group: Box) -> Trial | None:
    """The mask, shifted, wherever it lies on known ground, all shifts in one."""
    shifts = trial_shifts(unknown, group)
    if not shifts:
        return None
    hole = np.zeros_like(unknown)
    box = slice(group.top, group.bottom), slice(group.left, group.right)
    hole[box] = unknown[box]
    tested = np.zeros_like(unknown)
    for dy, dx in shifts:
        tested |= _shifted(hole, dy, dx)
    tested &= ~unknown
    both = unknown | tested
    if not tested.any() or both.all():
        return None
    return Trial(image, both, tested[both], image[tested].astype(np.float32))


def _middle(image: Image, unknown: Unknown, group: Box) -> tuple[Image, Unknown, Box]:
    """The middle of a long line, with ground around it."""
    height, width = unknown.shape
    cut_x, cut_y = max(0, group.width - _TRIED_PX) // 2, max(0, group.height - _TRIED_PX) // 2
    if not cut_x and not cut_y:
        return image, unknown, group
    inner = Box(group.left + cut_x, group.top + cut_y, group.right - cut_x, group.bottom - cut_y)
    view = Box(
        max(0, inner.left - _MARGIN_PX) if cut_x else 0,
        max(0, inner.top - _MARGIN_PX) if cut_y else 0,
        min(width, inner.right + _MARGIN_PX) if cut_x else width,
        min(height, inner.bottom + _MARGIN_PX) if cut_y else height,
    )
    cut = slice(view.top, view.bottom), slice(view.left, view.right)
    return image[cut], unknown[cut], inner.moved(-view.left, -view.top)
