"""Which pixels of each region are replaced: its strokes where they are sure, more where text is still seen, its box."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.codec import ColourBlocks
from models.engine import Image, Mask
from models.engines.classic.names import PATTERN
from models.geometry import Box
from models.job import FillReport, MaskMode, MaskOptions, RegionReport
from models.strokes.finder import Strokes, find_strokes, occupied_by
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


class RegionMasks:
    """The masks of one image's regions, as they grow from pass to pass. ``image`` is the picture with its text;
    ``blocks`` are those of the JPEG that it comes from.
    """

    def __init__(
        self,
        image: Image,
        covers: Sequence[tuple[Box, Bools]],
        options: MaskOptions,
        blocks: ColourBlocks | None = None,
    ) -> None:
        self._image = image
        self._options = options
        self._blocks = blocks
        found: Sequence[Strokes | None] = (
            [None] * len(covers) if options.mode is MaskMode.BOX else find_strokes(image, covers)
        )
        if blocks is None and options.mode is not MaskMode.BOX:
            self._blocks = find_blocks(image, [box for box, _ in covers])
        self._regions = [_choose(*cover, strokes, options.mode) for cover, strokes in zip(covers, found, strict=True)]
        self._cleaned = np.zeros((0, 0), bool)

    @property
    def boxes(self) -> list[Box]:
        return [region.box for region in self._regions]

    def mask(self) -> Mask:
        """All regions' masks, 255 where the picture is replaced."""
        return self._union(self._regions)

    def unstained(self, kept: Mask | None = None) -> Image:
        """The picture that fills go on from: without what a JPEG's letters left around their strokes.

        It is gone from the result too, within the regions; and around them, up to ``kept``, where that is given.
        """
        parts = [
            (region.box, region.chosen, region.cover) for region in self._regions if region.mode is MaskMode.STROKES
        ]
        if self._blocks is None or not parts:
            return self._image
        cleaned, changed = without_traces(self._image, self.mask() > 0, self._blocks, parts)
        covers = [(region.box, region.cover) for region in self._regions]
        self._cleaned = changed & (occupied_by(self._image, covers) if kept is None else kept == 0)
        return cleaned

    def marked(self, mask: Mask) -> Mask:
        """``mask``, and 127 where only traces of it are."""
        return np.where((mask == 0) & self._cleaned, np.uint8(127), mask) if self._cleaned.size else mask

    def judge(self, after: Image, fills: Sequence[FillReport] = ()) -> Mask | None:
        """Look for text in what was filled, by ``fills``. The mask of one more pass, over what is not erased, and over
        patterns that ring around their letters; None: that was it.
        """
        again = [region for region in self._regions if self._rings(region, fills)]
        if again:
            for region in again:
                self._mask_blocks(region)
            return self._union(again)
        judged = [r for r in self._regions if r.strokes is not None and (r.verdict is None or not r.verdict.erased)]
        occupied = occupied_by(self._image, [(r.box, r.cover) for r in self._regions] if judged else [])
        for region in judged:
            assert region.strokes is not None
            region.verdict = residual(self._image, after, region.strokes, region.cover, occupied)
            if not region.verdict.erased and region.mode is MaskMode.STROKES:
                _widen(region)
                again.append(region)
        return self._union(again) if again else None

    def _rings(self, region: _Region, fills: Sequence[FillReport]) -> bool:
        """Whether the region's ground repeats, so that what JPEG left around its strokes is better made anew, too."""
        if self._blocks is None or region.mode is not MaskMode.STROKES or region.repeated:
            return False
        fill = _fill_of(region.box, fills)
        return fill is not None and fill.name == PATTERN and fill.error is not None and fill.error <= _REPEATS_LEVELS

    def _mask_blocks(self, region: _Region) -> None:
        """All of the blocks that its strokes touch; then it has to be judged anew."""
        assert self._blocks is not None
        region.chosen = self._blocks.of_brightness.touched(region.chosen, region.box) & region.cover
        region.repeated, region.verdict = True, None

    def finished(self, after: Image) -> Image:
        """``after``, faded into the picture over the outer pixels of the masks' growth; nothing else has changed."""
        if not self._regions:
            return after
        mask, image = self.mask(), self._image
        if self._cleaned.size:
            image = np.where((self._cleaned & (mask == 0))[:, :, np.newaxis], after, image)
            after = np.where(mask[:, :, np.newaxis] > 0, after, image)
        feather_px = min(self._options.feather_px, self._options.dilate_px)
        if not feather_px:
            return after
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        weight = np.clip(depth / (feather_px + 1), 0, 1)[:, :, np.newaxis]
        return np.rint(after * weight + image * (1 - weight)).astype(np.uint8)

    def reports(self, engine: str, fills: Sequence[FillReport]) -> tuple[RegionReport, ...]:
        """In the order of the request."""
        return tuple(
            RegionReport(
                index=index,
                mode=region.mode,
                confidence=None if region.strokes is None else region.strokes.confidence,
                masked_share=round(self._masked_share(region), 4),
                model=fill.name if fill else engine,
                trial_error=fill.error if fill else None,
                erased=verdict.erased if verdict else None,
                residual_score=verdict.score if verdict else None,
            )
            for index, region in enumerate(self._regions)
            for verdict, fill in [(_told(region), _fill_of(region.box, fills))]
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
    """The fill that the most of the box got, of the last that it got."""
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
