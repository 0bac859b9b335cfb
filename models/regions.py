"""Which pixels of each region are replaced: its strokes where they are sure, more where text is still seen, its box."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.codec import ColourBlocks
from models.engine import Checkpoint, Image, Mask, OnStep, unstopped
from models.engines.classic.names import PATTERN
from models.geometry import Box, strips
from models.job import FillReport, MaskMode, MaskOptions, RegionReport
from models.strokes.cut import cut_off
from models.strokes.finder import Strokes, find_strokes, occupied_by, unheard
from models.strokes.grid import find_blocks
from models.strokes.traces import without_traces
from models.strokes.verdict import Residual, residual

Bools = NDArray[np.bool_]
SURE = 0.8
"""From this confidence on, ``auto`` takes the strokes."""
_WIDER_PX = 3
_REPEATS_LEVELS = 2.0
"""Of trial error, up to which a pattern is nearer to the ground than what JPEG made of it beside letters."""
_AFFORDABLE_RETRIES = 2
"""One pass with a wider mask, then the box."""


@dataclass(slots=True)
class _Region:
    box: Box
    cover: Bools
    chosen: Bools
    """Of the shape of ``box``; never more than ``cover``."""
    mode: MaskMode
    strokes: Strokes | None
    verdict: Residual | None = None
    tries: int = 0
    repeated: bool = False
    """Whether a pattern was laid over whole blocks of a JPEG."""
    fill: FillReport | None = None
    """Of the last pass that filled it."""


class RegionMasks:
    """The masks of one image's regions, as they grow from pass to pass. ``image`` is what is seen of the picture with
    its text; ``blocks`` are those of the JPEG that it comes from. ``on_found`` hears of each region that was looked at.
    """

    def __init__(
        self,
        image: Image,
        covers: Sequence[tuple[Box, Bools]],
        options: MaskOptions,
        blocks: ColourBlocks | None = None,
        on_found: OnStep = unheard,
        checkpoint: Checkpoint = unstopped,
    ) -> None:
        self._image = image
        self._options = options
        self._blocks = blocks
        self._checkpoint = checkpoint
        found: Sequence[Strokes | None] = (
            [None] * len(covers) if options.mode is MaskMode.BOX else find_strokes(image, covers, on_found, checkpoint)
        )
        if blocks is None and options.mode is not MaskMode.BOX:
            self._blocks = find_blocks(image, [box for box, _ in covers])
        self._regions = [_choose(*cover, strokes, options.mode) for cover, strokes in zip(covers, found, strict=True)]
        self._cleaned = np.zeros((0, 0), bool)
        self._cut = self._cut_off()
        self._in_pass = self._regions

    @property
    def boxes(self) -> list[Box]:
        return [region.box for region in self._regions]

    def mask(self) -> Mask:
        """All regions' masks, 255 where the picture is replaced."""
        return self._union(self._regions)

    def hole(self) -> Mask:
        """What is filled: the masks, and what goes on of letters beyond their regions, which is put back in the end."""
        return self.mask() | (self._cut * np.uint8(255))

    def _cut_off(self) -> Bools:
        cut = np.zeros(self._image.shape[:2], bool)
        for region in self._regions:
            if region.mode is MaskMode.STROKES and region.strokes is not None:
                self._checkpoint()
                view, beyond = cut_off(self._image, region.strokes, region.cover)
                cut[view] |= beyond
        return cut & ~occupied_by(self._image, [(region.box, region.cover) for region in self._regions])

    def unstained(self, kept: Callable[[], Bools] | None = None) -> Image:
        """The picture that fills go on from: without what a JPEG's letters left around their strokes.

        It is gone from the result too, within the regions; and around them, up to ``kept``, where that is given.
        """
        parts = [
            (region.box, region.chosen, region.cover) for region in self._regions if region.mode is MaskMode.STROKES
        ]
        if self._blocks is None or not parts:
            return self._image
        cleaned, changed = without_traces(self._image, self.mask() > 0, self._blocks, parts, self._checkpoint)
        covers = [(region.box, region.cover) for region in self._regions]
        self._cleaned = changed
        if changed.any():
            self._cleaned &= occupied_by(self._image, covers) if kept is None else ~kept()
        return cleaned

    def marked(self, mask: Mask) -> Mask:
        """``mask``, and 127 where only traces of it are."""
        return np.where((mask == 0) & self._cleaned, np.uint8(127), mask) if self._cleaned.size else mask

    def judge(self, after: Image, fills: Sequence[FillReport] = (), on_judged: OnStep = unheard) -> Mask | None:
        """Look for text in what the last pass filled, by ``fills``. The mask of one more pass, over what is not erased,
        and over patterns that ring around their letters; None: that was it.
        """
        for region in self._in_pass:
            region.fill = _fill_of(region.box, fills)
        self._in_pass = self._rung() or self._left(after, on_judged)
        return self._union(self._in_pass) if self._in_pass else None

    def _rung(self) -> list[_Region]:
        """What rings, with all of its blocks masked."""
        again = [region for region in self._regions if self._rings(region)]
        for region in again:
            self._mask_blocks(region)
        return again

    def _left(self, after: Image, on_judged: OnStep) -> list[_Region]:
        """What is not erased, with wider masks; where that is all of the box, no more is done."""
        again = list[_Region]()
        judged = [r for r in self._regions if r.strokes is not None and (r.verdict is None or not r.verdict.erased)]
        occupied = occupied_by(self._image, [(r.box, r.cover) for r in self._regions] if judged else [])
        for done, region in enumerate(judged, start=1):
            assert region.strokes is not None
            region.verdict = residual(self._image, after, region.strokes, region.cover, occupied, self._checkpoint)
            if not region.verdict.erased and region.mode is MaskMode.STROKES:
                _widen(region)
                again.append(region)
            on_judged(done, len(judged))
        return again

    def _rings(self, region: _Region) -> bool:
        """Whether the region's ground repeats, so that what JPEG left around its strokes is better made anew, too."""
        if self._blocks is None or region.mode is not MaskMode.STROKES or region.repeated:
            return False
        fill = region.fill
        return fill is not None and fill.name == PATTERN and fill.error is not None and fill.error <= _REPEATS_LEVELS

    def _mask_blocks(self, region: _Region) -> None:
        """All of the blocks that its strokes touch; then it has to be judged anew."""
        assert self._blocks is not None
        region.chosen = self._blocks.of_brightness.touched(region.chosen, region.box) & region.cover
        region.repeated, region.verdict = True, None

    def finished(self, before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
        """``after``, faded into the picture over the outer pixels of the masks' growth; nothing else has changed. Both
        ``(H, W, C)``: its colours, or its alpha.
        """
        if not self._regions:
            return after
        mask, feather_px = self.mask(), min(self._options.feather_px, self._options.dilate_px)
        if not (feather_px or self._cleaned.size or self._cut.any()):
            return after
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5) if feather_px else mask
        finished = np.empty_like(after)
        for rows in strips(len(mask)):
            ours, old, new = mask[rows, :, np.newaxis] > 0, before[rows], after[rows]
            new = np.where(self._cut[rows, :, np.newaxis] & ~ours, old, new)
            if self._cleaned.size:
                old = np.where(self._cleaned[rows, :, np.newaxis] & ~ours, new, old)
                new = np.where(ours, new, old)
            if feather_px:
                weight = np.clip(depth[rows, :, np.newaxis] / (feather_px + 1), 0, 1)
                new = np.rint(new * weight + old * (1 - weight))
            finished[rows] = new
        return finished

    def reports(self, engine: str) -> tuple[RegionReport, ...]:
        """In the order of the request."""
        return tuple(
            RegionReport(
                index=index,
                mode=region.mode,
                confidence=None if region.strokes is None else region.strokes.confidence,
                masked_share=round(self._masked_share(region), 4),
                model=region.fill.name if region.fill else engine,
                trial_error=region.fill.error if region.fill else None,
                erased=verdict.erased if verdict else None,
                residual_score=verdict.score if verdict else None,
            )
            for index, region in enumerate(self._regions)
            for verdict in [_told(region)]
        )

    def _masked_share(self, region: _Region) -> float:
        mask, grown_px = region.chosen.astype(np.uint8), self._options.dilate_px
        if grown_px:
            mask = _dilated(np.pad(mask, grown_px), grown_px)
        return float(mask.sum() / max(1, int(region.cover.sum())))

    def _union(self, regions: Sequence[_Region]) -> Mask:
        mask = np.zeros(self._image.shape[:2], np.uint8)
        for region in regions:
            mask[region.box.top : region.box.bottom, region.box.left : region.box.right][region.chosen] = 255
        return _dilated(mask, self._options.dilate_px) if self._options.dilate_px else mask


def _told(region: _Region) -> Residual | None:
    """The verdict, unless it knows too little: it looks where strokes were found, so it is blind to those missed."""
    unsure = region.mode is MaskMode.STROKES and region.strokes is not None and region.strokes.confidence < SURE
    return None if unsure else region.verdict


def _choose(box: Box, cover: Bools, strokes: Strokes | None, mode: MaskMode) -> _Region:
    if strokes is None or not strokes.mask.any() or (mode is MaskMode.AUTO and strokes.confidence < SURE):
        return _Region(box, cover, cover, MaskMode.BOX, strokes)
    grown = _dilated(strokes.mask.astype(np.uint8), strokes.halo_px) > 0 if strokes.halo_px else strokes.mask
    return _Region(box, cover, grown & cover, MaskMode.STROKES, strokes)


def _widen(region: _Region) -> None:
    region.tries += 1
    if region.tries >= _AFFORDABLE_RETRIES:
        region.chosen, region.mode = region.cover, MaskMode.BOX
    else:
        wider = _dilated(region.chosen.astype(np.uint8), _WIDER_PX) > 0
        region.chosen = wider & region.cover


def _fill_of(box: Box, fills: Sequence[FillReport]) -> FillReport | None:
    """The fill that the most of the box got; None: it got none of these."""
    shared = [
        (max(0, min(box.right, f.box.right) - max(box.left, f.box.left))
         * max(0, min(box.bottom, f.box.bottom) - max(box.top, f.box.top)), index)
        for index, f in enumerate(fills)
    ]  # fmt: skip
    area, index = max(shared, default=(0, 0))
    return fills[index] if area else None


def _dilated(mask: Mask, radius_px: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return np.asarray(cv2.dilate(mask, kernel), np.uint8)
