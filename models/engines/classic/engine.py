"""``classic``: every line of text gets the weightless fill that did best beside it. And each fill by its own name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from threadpoolctl import ThreadpoolController

from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.classic.candidates import FALLBACK, SURFACE, bounded, candidates, named
from models.engines.classic.groups import Group, Groups
from models.engines.classic.plain import plain
from models.engines.classic.seam import continues
from models.engines.classic.smooth import Unknown, Values
from models.engines.classic.trial import Candidate, Choice, Hole, Trial, choose, prepare, rim_trial
from models.engines.opencv import GREY
from models.errors import WorkCancelled
from models.job import DiffusionOptions, FillReport

_MAX_REJECTED = 3
_TIMES_WORSE, _LEVELS_WORSE = 2.0, 4.0
"""Where a surface foretells what is right around a mask, so much larger an error beside it tells of another ground."""
_DEEP_PX = 8.0
"""A mask with pixels further than this from all that is known is a box, or a very large letter. In its middle a bent
surface is far off when the rim misleads it; diffusion stays between the colours of the rim.
"""
_CLEARLY_BETTER, _FITS_LEVELS = 2.0, 4.0
"""There one surface is taken that is at most so far off at the rim, unless diffusion is so many times better."""


@dataclass(frozen=True, slots=True)
class GroupFill:
    """``values``: of the group's pixels, float32 ``(N, 3)``. ``trial``: where its mask was tried, if it had to be."""

    group: Group
    values: Values
    choice: Choice
    trial: Trial | None = None

    def paste(self, canvas: Image) -> None:
        canvas[self.group.view][self.group.ours] = np.clip(np.round(self.values), 0, 255)

    @property
    def report(self) -> FillReport:
        return FillReport(self.group.box, self.choice.name, self.choice.error)


class ClassicEngine:
    """A pure function of picture and mask: the budget of a trial is counted in work, never in time."""

    def __init__(self, tried: Sequence[Candidate] | None = None, name: str = "classic") -> None:
        self._candidates = candidates() if tried is None else tuple(tried)
        self._name = name

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(self._name, "cpu")

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        """Groups of masked pixels, a line of text each."""
        return len(Groups(mask > 0))

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        canvas, reports = image.copy(), []
        for fill, total in self.fills(image, mask, should_stop):
            fill.paste(canvas)
            reports.append(fill.report)
            on_step(len(reports), total)
        return Filling(canvas, tuple(reports), self._handed_over(reports))

    def fills(self, image: Image, mask: Mask, should_stop: ShouldStop) -> Iterator[tuple[GroupFill, int]]:
        """Group by group, with how many there are. Raises ``WorkCancelled`` between two of them."""

        def checkpoint() -> None:
            if should_stop():
                raise WorkCancelled("Cancelled between two groups of masked pixels.")

        unknown = mask > 0
        found = Groups(unknown, checkpoint)
        for group in found:
            checkpoint()
            # One core: small systems gain nothing from more, and rounding would depend on their number.
            with _blas().limit(limits=1, user_api="blas"):
                fill = self._fill(image[group.view], unknown[group.view], group)
            yield fill, len(found)

    def close(self) -> None:
        """Nothing is held."""

    def _handed_over(self, reports: Sequence[FillReport]) -> tuple[str, ...]:
        """Fills that a client named are taken untried, but not at any price."""
        if len(self._candidates) > 1 or self._name == FALLBACK.name:
            return ()
        if all(report.name != FALLBACK.name for report in reports):
            return ()
        return (f"{self._name} would take too long over so large a hole; {FALLBACK.name} filled it.",)

    def _fill(self, image: Image, unknown: Unknown, group: Group) -> GroupFill:
        ours = group.ours[unknown]
        if unknown.all():
            return GroupFill(group, np.full((len(ours), 3), GREY, np.float32)[ours], Choice("none", None))
        if len(self._candidates) == 1:
            only = bounded(self._candidates[0], Hole.of(unknown))
            return GroupFill(group, only.fill(image, unknown)[ours], Choice(only.name, None))
        if (found := plain(image, unknown, group)) is not None:
            return GroupFill(group, found.values, Choice("surface", round(found.error, 3)))
        return self._tried(image, unknown, group)

    def _tried(self, image: Image, unknown: Unknown, group: Group) -> GroupFill:
        hole = Hole.of(unknown)
        beside = prepare(image, unknown, group.ours, group.inner)
        around = rim_trial(image, unknown, group.ours, group.inner)
        of_surface = around.error(SURFACE) if around else np.inf
        deep = _deep(group.ours)
        tried = (*self._candidates, FALLBACK) if deep else self._candidates
        left = list(tried) if beside else []
        while beside and len(left) > max(0, len(tried) - _MAX_REJECTED):
            chosen = choose(beside, hole, left)
            if chosen is None or chosen[1] > _TIMES_WORSE * of_surface + _LEVELS_WORSE:
                break
            if chosen[0].smooth or chosen[1] <= of_surface:
                fill = _filled(image, unknown, group, chosen, beside)
                if continues(image, unknown, group, fill.values):
                    return fill
            # The ground of the trial was not this ground: of a wall beside the sign, say.
            left.remove(chosen[0])
        if around and deep:
            return _filled(image, unknown, group, _for_deep(around, of_surface), beside)
        smooth = [one for one in tried if one.smooth]
        chosen = choose(around, hole, smooth) if around else None
        if chosen:
            return _filled(image, unknown, group, chosen, beside)
        values = FALLBACK.fill(image, unknown)[group.ours[unknown]]
        return GroupFill(group, values, Choice(FALLBACK.name, None), beside)


def _deep(ours: Unknown) -> bool:
    return float(cv2.distanceTransform(ours.astype(np.uint8), cv2.DIST_L2, 3).max()) > _DEEP_PX


def _for_deep(around: Trial, of_surface: float) -> tuple[Candidate, float]:
    of_diffusion = around.error(FALLBACK)
    fits = of_surface <= min(_CLEARLY_BETTER * of_diffusion, _FITS_LEVELS)
    return (SURFACE, of_surface) if fits else (FALLBACK, of_diffusion)


def _filled(
    image: Image, unknown: Unknown, group: Group, chosen: tuple[Candidate, float], trial: Trial | None
) -> GroupFill:
    best, error = chosen
    values = best.fill(image, unknown)[group.ours[unknown]]
    return GroupFill(group, values, Choice(best.name, round(error, 3)), trial)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def single(name: str) -> ClassicEngine:
    """One fill for all groups, untried."""
    return ClassicEngine((named(name),), name)
