"""``auto``: the weightless fills, and the network where they are not good enough and it did better beside the text."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from models.engine import EngineInfo, Filling, Image, InpaintEngine, Mask, OnStep, ShouldStop
from models.engines.classic.engine import ClassicEngine, GroupFill
from models.geometry import Box, span
from models.job import DiffusionOptions, FillReport
from models.windows import WindowSizes

_GOOD_ENOUGH = 2.0
"""Levels of a fill's trial error below which nobody sees a difference, so that the network is not run."""
_GRAIN_FACTOR, _MOST_GRAIN = 1.2, 6.0
"""No fill can foretell grain: one whose error is hardly more than the ground's own grain is as good as can be."""
_GRAIN_PX = 3.0
_CONTEXT_PX = 64
_THIN = 0.6
"""Share of its box up to which a mask is thin: its trial beside it takes little context away, so one pass does both."""


class AutoEngine:
    """``network`` None: ``why`` tells the client that only the weightless fills were tried.

    A pure function of picture and mask, if the network is one. It runs twice at most: over what is contested, with
    the masks and, beside them, the same masks over known ground; and, where masks are solid, over what it has won.
    """

    def __init__(self, network: InpaintEngine | None, why: str = "", classic: ClassicEngine | None = None) -> None:
        self._network = network
        self._classic = classic or ClassicEngine()
        self._notes = (why,) if why else ()

    @property
    def info(self) -> EngineInfo:
        if self._network is None:
            return EngineInfo("auto", "cpu", notes=self._notes)
        info = self._network.info
        return replace(info, name="auto", notes=self._notes + info.notes, network=info.name)

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        """Those of the weightless fills; the network's turn, if it comes to that, is one more."""
        return self._classic.units(mask, options) + int(self._network is not None)

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        canvas, fills, turns = image.copy(), list[GroupFill](), int(self._network is not None)
        for fill, total in self._classic.fills(image, mask, should_stop):
            fill.paste(canvas)
            fills.append(fill)
            on_step(len(fills), total + turns)
        reports = [fill.report for fill in fills]
        contested = [index for index, fill in enumerate(fills) if _contested(image, fill)]
        if self._network and contested:
            contest = _Contest(self._network, options, lambda: on_step(len(fills), len(fills) + 1), should_stop)
            for index, report in zip(contested, contest.decide(canvas, [fills[i] for i in contested]), strict=True):
                reports[index] = report
        on_step(len(fills) + turns, len(fills) + turns)
        return Filling(canvas, tuple(reports), self._notes)

    def close(self) -> None:
        """The network belongs to whoever loaded it."""


class _Contest:
    """The network against the weightless fills, over one window."""

    def __init__(
        self, network: InpaintEngine, options: DiffusionOptions, moves: Callable[[], None], should_stop: ShouldStop
    ) -> None:
        self._network = network
        self._options = options
        self._moves = moves
        self._should_stop = should_stop

    def decide(self, canvas: Image, fills: Sequence[GroupFill]) -> list[FillReport]:
        """Pastes what the network wins into ``canvas``, where the weightless fills are; each one's report."""
        name = self._network.info.name
        trial = self._run(canvas, _holes(canvas, fills, with_trials=True), fills)
        reports, won = [], []
        for fill in fills:
            error = fill.trial.error_of(trial[_trial_view(fill)][fill.trial.tested]) if fill.trial else None
            best = fill.choice.error
            if error is None or best is None or error < best:
                won.append(fill)
                reports.append(FillReport(fill.group.box, name, None if error is None else round(error, 3)))
            else:
                reports.append(fill.report)
        thin = [fill for fill in won if _is_thin(fill)]
        _paste(canvas, trial, thin)
        if solid := [fill for fill in won if not _is_thin(fill)]:
            _paste(canvas, self._run(canvas, _holes(canvas, solid, with_trials=False), solid), solid)
        return reports

    def _run(self, image: Image, mask: Mask, fills: Sequence[GroupFill]) -> Image:
        """Over the part of the window that holds the fills; what it put there, in a picture of the window's size."""
        height, width = mask.shape
        box = _around([fill.group.window for fill in fills], self._network.info.sizes, width, height)
        view = slice(box.top, box.bottom), slice(box.left, box.right)

        def on_step(done: int, total: int) -> None:
            self._moves()  # its turn is one unit, whatever it consists of

        crop, hole = np.ascontiguousarray(image[view]), np.ascontiguousarray(mask[view])
        out = image.copy()
        out[view] = self._network.run(crop, hole, self._options, on_step, self._should_stop).image
        return out


def _contested(image: Image, fill: GroupFill) -> bool:
    """Whether a network might do better."""
    error = fill.choice.error
    if error is None:
        return fill.choice.name != "none"
    if error <= _GOOD_ENOUGH:
        return False
    grain = min(_MOST_GRAIN, _grain(image[fill.group.view], fill))
    return error > _GRAIN_FACTOR * grain


def _grain(image: Image, fill: GroupFill) -> float:
    """How far the pixels around a group are from the mean around each of them, in levels (RMS)."""
    ours = fill.group.ours.astype(np.uint8)
    known = (1 - ours).astype(np.float32)[:, :, np.newaxis]
    total = cv2.GaussianBlur(np.dstack([image * known, known]), (0, 0), _GRAIN_PX)
    off = (image - total[:, :, :3] / np.maximum(total[:, :, 3:], 1e-6)) * known
    return float(np.sqrt((off**2).sum() / max(1.0, 3 * float(known.sum()))))


def _holes(canvas: Image, fills: Sequence[GroupFill], with_trials: bool) -> Mask:
    holes = np.zeros(canvas.shape[:2], np.uint8)
    for fill in fills:
        holes[fill.group.view][fill.group.ours] = 255
        if with_trials and fill.trial:
            holes[_trial_view(fill)][fill.trial.tested] = 255
    return holes


def _trial_view(fill: GroupFill) -> tuple[slice, slice]:
    assert fill.trial is not None
    box = fill.trial.box.moved(fill.group.window.left, fill.group.window.top)
    return slice(box.top, box.bottom), slice(box.left, box.right)


def _is_thin(fill: GroupFill) -> bool:
    return bool(fill.group.ours.sum() <= _THIN * fill.group.box.area)


def _paste(canvas: Image, picture: Image, fills: Sequence[GroupFill]) -> None:
    for fill in fills:
        canvas[fill.group.view][fill.group.ours] = picture[fill.group.view][fill.group.ours]


def _around(windows: Sequence[Box], sizes: WindowSizes, width: int, height: int) -> Box:
    """With context, of sizes that the network takes as they are."""
    box, more = functools.reduce(Box.union, windows), _CONTEXT_PX // 2
    box = box.grown(more).clip(width, height)
    columns, rows = sizes.sides(max(box.width, sizes.trained_px), max(box.height, sizes.trained_px))
    left, right = span(box.left, box.right, columns, width)
    top, bottom = span(box.top, box.bottom, rows, height)
    return Box(left, top, right, bottom)
