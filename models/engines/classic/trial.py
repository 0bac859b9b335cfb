"""The choice of a fill by evidence: the very same mask, shifted over known ground, filled by every candidate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.engines.classic.smooth import Unknown, Values
from models.geometry import Box

Fill = Callable[[Image, Unknown], Values]


@dataclass(frozen=True, slots=True)
class Hole:
    """What a fill's work grows with. ``pixels``: of the window. ``depth_px``: of the pixel furthest from all that is
    known.
    """

    pixels: int
    missing: int
    depth_px: float

    @classmethod
    def of(cls, unknown: Unknown) -> Self:
        depth = cv2.distanceTransform(unknown.astype(np.uint8), cv2.DIST_L2, 3)
        return cls(unknown.size, int(unknown.sum()), float(depth.max()))


@dataclass(frozen=True, slots=True)
class Candidate:
    """``cost``: work per call in microseconds of one core.

    ``local``: what it fills depends only on the ground next to each hole, so holes that nobody asks about need no work.
    ``smooth``: it goes on from what is around a hole, and copies nothing from further away.
    """

    name: str
    fill: Fill
    cost: Callable[[Hole], float]
    local: bool = False
    smooth: bool = True


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
_INVISIBLE_LEVELS, _CLEARLY_LEVELS = 1.0, 0.1
"""What is tried first is stiffer, and errs less where a mask is wider than its trial could show: of errors that nobody
sees, only one that is clearly less is taken for it."""
_ALIKE_SPREADS, _ALIKE_LEVELS = 1.5, 12.0
"""Colours are alike whose medians differ by at most so many spreads of the middle half, and so many levels more."""
_RIM_PX, _RIM_MOST, _RIM_GOOD_ENOUGH = 3, 24.0, 4.0
_TRIALS = 2
_TRIED_PX = 120
"""Of a long line only so much, its middle, is tried."""
_MARGIN_PX = 32
_BUDGET_US = 120_000.0
_BUDGET_US_PER_PX = 8.0
"""What the trial, and the fill that it chose, may cost: so much, and more for larger holes."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Where a mask was tried: ``box`` in the pixels of its window, the rest of the box's shape.

    ``tested``: pixels that are known, and were hidden. ``unknown``: these and what is really unknown.
    """

    box: Box
    image: Image
    unknown: Unknown
    tested: Unknown
    most: float = np.inf
    """Levels that no pixel counts more than: what is left of a letter, or a frame, is no ground."""
    good_enough: float = _GOOD_ENOUGH

    def error(self, candidate: Candidate) -> float:
        asked = _pieces_with(self.unknown, self.tested) if candidate.local else self.unknown
        filled = candidate.fill(self.image, asked)
        return self.error_of(np.round(filled[self.tested[asked]]))

    def error_of(self, guess: NDArray[np.generic]) -> float:
        """``guess``: what was put in place of the tested pixels, shape ``(n, 3)``."""
        truth = self.image[self.tested].astype(np.float32)
        off = np.minimum(np.abs(guess.astype(np.float32) - truth), self.most)
        return float(np.sqrt((off**2).mean()))


def prepare(image: Image, unknown: Unknown, ours: Unknown, group: Box) -> Trial | None:
    """The mask of a group, shifted, wherever it lies on known ground, all shifts in one; None: there is no such place.

    ``ours``: the group's pixels, within ``unknown``; both of the window's shape. ``group``: their box in the window.
    """
    inner, box = _middle(unknown.shape, group)
    view = slice(box.top, box.bottom), slice(box.left, box.right)
    unknown, inner = unknown[view], inner.moved(-box.left, -box.top)
    hole = np.zeros_like(unknown)
    at = slice(inner.top, inner.bottom), slice(inner.left, inner.right)
    hole[at] = ours[view][at]
    tested = np.zeros_like(unknown)
    for dy, dx in trial_shifts(image[view], unknown, hole, inner):
        tested |= _shifted(hole, dy, dx)
    tested &= ~unknown
    both = unknown | tested
    return Trial(box, image[view], both, tested) if tested.any() and not both.all() else None


def rim_trial(image: Image, unknown: Unknown, ours: Unknown, group: Box) -> Trial | None:
    """The known pixels right around a group's mask, hidden: little evidence, but of the very ground that goes on below
    it. None: there are none, or none beyond them. Arguments as of ``prepare``.
    """
    inner, box = _middle(unknown.shape, group)
    view = slice(box.top, box.bottom), slice(box.left, box.right)
    rim = cv2.dilate(ours[view].astype(np.uint8), np.ones((2 * _RIM_PX + 1,) * 2, np.uint8)) > 0
    tested = rim & ~unknown[view]
    reach = inner.moved(-box.left, -box.top)
    tested[:, : max(0, reach.left - _RIM_PX)] = tested[:, reach.right + _RIM_PX :] = False
    both = unknown[view] | tested
    return (
        Trial(box, image[view], both, tested, _RIM_MOST, _RIM_GOOD_ENOUGH) if tested.any() and not both.all() else None
    )


def choose(trial: Trial, hole: Hole, candidates: Sequence[Candidate]) -> tuple[Candidate, float] | None:
    """Try the candidates, cheapest first, until one is good enough or the budget is spent.

    ``hole``: that the chosen one will fill. None: no candidate can be afforded there.
    """
    budget = _BUDGET_US + _BUDGET_US_PER_PX * hole.missing
    affordable = [one for one in candidates if one.cost(hole) <= budget]
    tried = Hole.of(trial.unknown)
    best: tuple[Candidate, float] | None = None
    spent = 0.0
    for candidate in sorted(affordable, key=lambda one: one.cost(tried)):
        spent += candidate.cost(tried)
        if best and spent > budget:
            break
        error = trial.error(candidate)
        if best is None or error < best[1] - (_CLEARLY_LEVELS if best[1] < _INVISIBLE_LEVELS else 0):
            best = candidate, error
        if error < trial.good_enough:
            break
    return best


def trial_shifts(image: Image, unknown: Unknown, hole: Unknown, group: Box) -> list[tuple[int, int]]:
    """Shifts ``(dy, dx)`` that bring the hole onto known ground like that around it, the best evidence first."""
    near = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    ring = (cv2.dilate(hole.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & ~unknown
    total = max(1, int(hole.sum()))
    found = []
    for order, (dy, dx) in enumerate(_shifts(group)):
        tested = _shifted(hole, dy, dx) & ~near
        share = int(tested.sum()) / total
        if share >= _MIN_TRIED and _alike(image[tested], image[ring]):
            found.append((-round(share, 1), order, (dy, dx)))
    return [shift for _, _, shift in sorted(found)[:_TRIALS]]


def _alike(ground: Image, ring: Image) -> bool:
    """Whether one may stand for the other: a wall is no evidence for the sign that hangs on it."""
    if not len(ring):
        return True
    low, middle, high = np.quantile(ring, (0.25, 0.5, 0.75), axis=0)
    allowed = _ALIKE_SPREADS * (high - low) + _ALIKE_LEVELS
    return bool((np.abs(np.median(ground, axis=0) - middle) <= allowed).all())


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


def _pieces_with(unknown: Unknown, asked: Unknown) -> Unknown:
    """The holes, with those that are at most four pixels apart taken together, in which anything is asked for."""
    joined = cv2.dilate(unknown.astype(np.uint8), np.ones((5, 5), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    wanted = np.zeros(count, bool)
    wanted[labels[asked]] = True
    return np.asarray(unknown & wanted[labels], bool)


def _middle(shape: tuple[int, ...], group: Box) -> tuple[Box, Box]:
    """The middle of a long line, and what is cut out of the window around it."""
    height, width = shape
    cut_x, cut_y = max(0, group.width - _TRIED_PX) // 2, max(0, group.height - _TRIED_PX) // 2
    inner = Box(group.left + cut_x, group.top + cut_y, group.right - cut_x, group.bottom - cut_y)
    reach_x = _MARGIN_PX if cut_x else width
    reach_y = _MARGIN_PX if cut_y else height
    around = inner.grown(reach_x, reach_y)
    return inner, around.clip(width, height)
