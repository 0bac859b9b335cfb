"""Finds the strokes of the text within a region, so that only they are replaced.

On plain ground what differs from the ground is text. Anywhere else a small network tells, from the crop, from where
the region is, and from how novel each colour is to the region's surroundings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.engine import Checkpoint, Image, OnStep, unstopped
from models.geometry import Box
from models.strokes.colours import completed
from models.strokes.copies import SURE_PROBABILITY, confidence, in_copies
from models.strokes.halo import AROUND_PX, halo_px
from models.strokes.novelty import Bools, Field, novelty
from models.strokes.plain import commonest, framed_strokes, plain_strokes

_PAD_PX = 16
"""Of surroundings that are looked at."""
_LEAST_RIM_PX = 40
_LIKE_STROKES = 0.7
"""How likely what has the strokes' colour is taken to be one."""
_MOST_DRAWN, _OTHER_LEVELS = 0.7, 40.0
"""More of a region than this, on a ground of so different a colour, is a sign, a card or a balloon, not letters."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """``mask``: bool, and ``likelihood``: 0 to 1, of the shape of ``box``. ``confidence``: 0 (do not use) to 1.

    ``halo_px``: how far around the mask its surroundings are spoilt, at most ``halo.REACH_PX``.
    """

    box: Box
    mask: Bools
    likelihood: Field
    confidence: float
    halo_px: int = 0


@dataclass(frozen=True, slots=True)
class Crop:
    """``view``: where the crop is in the image; ``inner``: where the region's box is in the crop."""

    rgb: Image
    view: tuple[slice, slice]
    inner: tuple[slice, slice]

    @classmethod
    def around(cls, image: Image, box: Box, pad_px: int) -> "Crop":
        outer = box.grown(pad_px).clip(image.shape[1], image.shape[0])
        view = slice(outer.top, outer.bottom), slice(outer.left, outer.right)
        inner = (
            slice(box.top - outer.top, box.bottom - outer.top),
            slice(box.left - outer.left, box.right - outer.left),
        )
        return cls(np.ascontiguousarray(image[view]), view, inner)

    def placed(self, mask: Bools) -> Bools:
        """A mask of the box's shape, in the crop."""
        whole = np.zeros(self.rgb.shape[:2], bool)
        whole[self.inner] = mask
        return whole


def unheard(done: int, total: int) -> None:
    """Nobody watches."""


def find_strokes(
    image: Image,
    regions: Sequence[tuple[Box, Bools]],
    on_step: OnStep = unheard,
    checkpoint: Checkpoint = unstopped,
) -> list[Strokes]:
    """Strokes per region; each region is its box, clipped to the image, and which of the box's pixels it covers.

    ``image``: RGB uint8 ``(H, W, 3)``. Pixels of other regions are not taken for surroundings. A region is a step.
    """
    occupied, found = occupied_by(image, regions), list[Strokes]()
    for box, cover in regions:
        found.append(_strokes(image, box, cover, occupied, checkpoint))
        on_step(len(found), len(regions))
    return found


def occupied_by(image: Image, regions: Sequence[tuple[Box, Bools]]) -> Bools:
    """All regions together, of the image's shape."""
    occupied = np.zeros(image.shape[:2], bool)
    for box, cover in regions:
        occupied[box.top : box.bottom, box.left : box.right] |= cover
    return occupied


def likelihood(image: Image, box: Box, cover: Bools, occupied: Bools, checkpoint: Checkpoint = unstopped) -> Field:
    """How likely each pixel of ``box`` is part of a stroke, 0 to 1; 0 where ``cover`` is not set."""
    checkpoint()
    crop = Crop.around(image, box, _PAD_PX)
    rgb, inside = crop.rgb, crop.placed(cover)
    others = occupied[crop.view] & ~inside
    rim = ~inside & ~others
    if np.count_nonzero(rim) < _LEAST_RIM_PX:
        # The region is as large as the picture: its own edge tells what its ground looks like.
        drawn, rim = None, inside & ~_eroded(inside)
    else:
        drawn = plain_strokes(rgb, inside, rim)
        differing = plain_strokes(rgb, inside, rim, loosely=True) if drawn is None else drawn
        if differing is not None and _other_ground(rgb, inside, rim, differing):
            drawn = framed_strokes(rgb, inside)
        elif drawn is None:
            drawn = framed_strokes(rgb, inside, exactly=True)
    if drawn is None:
        found = in_copies(rgb, inside, others, novelty(rgb, rim), checkpoint) * inside
        lacking = completed(rgb, found >= SURE_PROBABILITY, inside, others)
        found[lacking] = np.maximum(found[lacking], _LIKE_STROKES)
    else:
        found = drawn.astype(np.float32)
    return np.asarray(found[crop.inner] * cover, np.float32)


def _other_ground(rgb: Image, inside: Bools, rim: Bools, drawn: Bools) -> bool:
    """Whether the region is a sign or a card: small dense letters cover as much of it, but their ground goes on."""
    if np.count_nonzero(drawn & inside) <= _MOST_DRAWN * np.count_nonzero(inside):
        return False
    return bool(np.abs(commonest(rgb, inside) - commonest(rgb, rim)).max() > _OTHER_LEVELS)


def _eroded(mask: Bools) -> Bools:
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=0), bool)


def _strokes(image: Image, box: Box, cover: Bools, occupied: Bools, checkpoint: Checkpoint) -> Strokes:
    found = likelihood(image, box, cover, occupied, checkpoint)
    mask = found >= SURE_PROBABILITY
    halo = _halo_px(image, box, cover, mask, occupied) if mask.any() else 0
    return Strokes(box, mask, found, round(confidence(found), 3), halo)


def _halo_px(image: Image, box: Box, cover: Bools, mask: Bools, occupied: Bools) -> int:
    crop = Crop.around(image, box, AROUND_PX)
    return halo_px(crop.rgb, crop.placed(mask), crop.placed(cover), ~occupied[crop.view])
