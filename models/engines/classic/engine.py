"""``classic``: every line of text gets the weightless fill that did best beside it. And each fill by its own name."""

from collections.abc import Sequence

import cv2
import numpy as np

from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.classic.candidates import FALLBACK, SMOOTH_ENOUGH, candidates, named
from models.engines.classic.smooth import Unknown, Values, surface_everywhere
from models.engines.classic.trial import Candidate, Choice, choose
from models.errors import WorkCancelled
from models.geometry import Box
from models.job import DiffusionOptions, FillReport

_JOIN_PX = 9
"""Masked pixels nearer than this are one group: the letters of a line, not two lines of a page."""
_RIM_PX = 48
_MAX_RIM_PX = 160


class ClassicEngine:
    """A pure function of picture and mask: the budget of a trial is counted in work, never in time."""

    def __init__(self, tried: Sequence[Candidate] | None = None, name: str = "classic") -> None:
        self._candidates = candidates() if tried is None else tuple(tried)
        self._name = name

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(self._name, "cpu")

    def steps(self, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        canvas, reports = image.copy(), []
        unknown = mask > 0
        for group, labels, number in groups(unknown):
            if should_stop():
                raise WorkCancelled("Cancelled between two groups of masked pixels.")
            window = rim(group, unknown.shape)
            view = slice(window.top, window.bottom), slice(window.left, window.right)
            ours = labels[view] == number
            local = group.moved(-window.left, -window.top)
            values, choice = self._fill(image[view], unknown[view], local)
            canvas[view][ours] = np.clip(np.round(values), 0, 255)[ours[unknown[view]]]
            reports.append(FillReport(group, choice.name, choice.error))
        on_step(1, 1)
        return Filling(canvas, tuple(reports))

    def close(self) -> None:
        """Nothing is held."""

    def _fill(self, image: Image, unknown: Unknown, group: Box) -> tuple[Values, Choice]:
        if unknown.all():
            return np.full((int(unknown.sum()), 3), 127, np.float32), Choice("none", None)
        if len(self._candidates) == 1:
            return self._candidates[0].fill(image, unknown), Choice(self._candidates[0].name, None)
        values, error = surface_error(image, unknown, group)
        if error <= SMOOTH_ENOUGH:
            return values, Choice("surface", round(error, 3))
        chosen, choice = choose(image, unknown, group, self._candidates, FALLBACK)
        return chosen.fill(image, unknown), choice


def single(name: str) -> ClassicEngine:
    """One fill for all groups, untried."""
    return ClassicEngine((named(name),), name)


def groups(unknown: Unknown) -> list[tuple[Box, np.ndarray, int]]:
    """Boxes of masked pixels that belong together, from top to bottom, with a labelled picture and each one's label."""
    joined = cv2.dilate(unknown.astype(np.uint8), np.ones((_JOIN_PX, _JOIN_PX), np.uint8))
    count, labels = cv2.connectedComponents(joined)
    labels = np.where(unknown, labels, 0)
    found = []
    for number in range(1, count):
        rows, columns = np.nonzero(labels == number)
        box = Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        found.append((box, labels, number))
    return found


def rim(group: Box, shape: tuple[int, ...]) -> Box:
    """The group with enough ground around it to try its mask on."""
    margin = max(_RIM_PX, min(group.height + 16, _MAX_RIM_PX))
    grown = Box(group.left - margin, group.top - margin, group.right + margin, group.bottom + margin)
    return grown.clip(shape[1], shape[0])


def surface_error(image: Image, unknown: Unknown, group: Box) -> tuple[Values, float]:
    """The surface's fill, and its greatest common error on the ground around: small means that no trial is needed."""
    everywhere = surface_everywhere(image, unknown)
    near = slice(max(0, group.top - 12), group.bottom + 12), slice(max(0, group.left - 12), group.right + 12)
    known = ~unknown[near]
    wrong = np.abs(np.round(everywhere[near][known]) - image[near][known]).max(axis=1)
    return everywhere[unknown], float(np.quantile(wrong, 0.99)) if len(wrong) else 255.0
