"""Pictures that are transparent in places: what is seen of them, what fills go on from, and their alpha, filled too.

Letters on a sticker or a logo are as readable by alpha as by colour. Where alpha is the same everywhere, all of this
leaves the picture as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.codec import DecodedImage
from models.engine import Checkpoint, Image, Mask, unstopped
from models.engines.classic.groups import Groups
from models.geometry import Box, strips
from models.strokes.finder import occupied_by
from models.strokes.novelty import Bools

Alpha = NDArray[np.uint8] | NDArray[np.uint16]
Fade = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]

_GROUNDS = ((255, 255, 255), (0, 0, 0), (128, 128, 128), (255, 0, 255), (0, 255, 0))
_CLEAR_LEVELS = 127
"""More contrast than this, in the channel that differs most, makes nothing clearer."""
_SAMPLES = 100_000
_RADIUS_PX = 4
"""Of OpenCV's fill, as the colours' one has."""


class Transparency:
    """Of one decoded picture, whose regions are ``covers``: boxes, and which of their pixels they cover."""

    def __init__(
        self, source: DecodedImage, covers: Sequence[tuple[Box, Bools]], checkpoint: Checkpoint = unstopped
    ) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._hole = np.zeros(source.rgb.shape[:2], np.uint8)
        alpha = _alpha(source)
        self._alpha = None if alpha is None or alpha.min() == alpha.max() else alpha
        if self._alpha is not None:
            self._occupied = occupied_by(source.rgb, covers)
            self._ground = _contrasting(source.rgb, self._alpha, self._occupied)

    def shown(self, rgb: Image, mask: Mask | None = None) -> Image:
        """``rgb`` over a plain ground on which what is opaque can be seen. ``mask``: where it was filled."""
        if self._alpha is None:
            return rgb
        alpha = self._alpha if mask is None else self._filled(self._alpha, mask)
        shown = np.empty_like(rgb)
        for rows in strips(len(rgb)):
            weight = alpha[rows].astype(np.float32) / np.float32(_top(alpha))
            ground = np.full_like(rgb[rows], self._ground)
            shown[rows] = cv2.blendLinear(rgb[rows], ground, weight, 1 - weight)
        return shown

    def known(self, shown: Image, hole: Mask) -> Image:
        """What fills go on from: the opaque part of what is shown; elsewhere the picture's own colours, and where it
        has none that are seen, those nearest that are neither in the hole nor in a region, where there are any.
        """
        self._hole = hole
        if self._alpha is None:
            return shown
        image = np.where((self._alpha == _top(self._alpha))[:, :, np.newaxis], shown, self._source.rgb)
        unseen, coloured = self._alpha == 0, (self._alpha > 0) & (hole == 0)
        if (coloured & ~self._occupied).any():
            coloured &= ~self._occupied
        if not (unseen.any() and coloured.any()):
            return image
        nearest = cv2.distanceTransformWithLabels(
            (~coloured).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )[1]
        colours = np.zeros((int(nearest.max()) + 1, 3), np.uint8)
        for rows in strips(len(image)):
            colours[nearest[rows][coloured[rows]]] = image[rows][coloured[rows]]
        for rows in strips(len(image)):
            image[rows][unseen[rows]] = colours[nearest[rows][unseen[rows]]]
        return image

    def finished(self, after: Image, mask: Mask, fade: Fade) -> tuple[Image, DecodedImage]:
        """The picture, and its source with the alpha that belongs to it. ``fade(before, after)``, ``(H, W, C)``."""
        source = self._source
        if self._alpha is None:
            return fade(source.rgb, after), source
        kept = (mask == 0) & (self._alpha < _top(self._alpha))
        picture = fade(source.rgb, np.where(kept[:, :, np.newaxis], source.rgb, after))
        filled = self._filled(self._alpha, mask)
        alpha = fade(self._alpha[:, :, np.newaxis], filled[:, :, np.newaxis])[:, :, 0]
        if alpha.dtype == np.uint8:
            return picture, replace(source, alpha=alpha)
        assert source.deep is not None
        deep = source.deep.copy()
        deep[:, :, -1] = alpha
        changed, small = alpha != self._alpha, source.alpha
        eight = None if small is None else np.where(changed, alpha >> 8, small).astype(np.uint8)
        return picture, replace(source, alpha=eight, deep=deep)

    def _filled(self, alpha: Alpha, mask: Mask) -> Alpha:
        """Plateaus stay exact; where nothing is known, it is what it mostly was."""
        unknown, filled = (mask | self._hole) > 0, alpha.copy()
        if unknown.all():
            filled[...] = int(np.bincount(alpha.ravel()).argmax())
            return filled
        for group in Groups(unknown, self._checkpoint):
            self._checkpoint()
            around = alpha[group.view]
            if around.min() < around.max():
                hole = unknown[group.view].astype(np.uint8)
                filled[group.view][group.ours] = cv2.inpaint(around, hole, _RADIUS_PX, cv2.INPAINT_NS)[group.ours]
        return filled


def _alpha(source: DecodedImage) -> Alpha | None:
    if source.deep is not None and source.deep.shape[2] in (2, 4):
        return np.ascontiguousarray(source.deep[:, :, -1])
    return source.alpha


def _top(alpha: Alpha) -> int:
    return int(np.iinfo(alpha.dtype).max)


def _contrasting(rgb: Image, alpha: Alpha, occupied: Bools) -> tuple[int, int, int]:
    """The ground from which what can be seen in the regions differs most; in all of a picture that has none."""
    seen = (alpha > 0) & occupied if occupied.any() else alpha > 0
    step = max(1, int(np.count_nonzero(seen)) // _SAMPLES)
    colours = _every(step, rgb, seen).astype(np.int16)
    weights = _every(step, alpha, seen).astype(np.float64)
    contrasts = [
        float((np.abs(colours - np.array(ground)).max(1).clip(0, _CLEAR_LEVELS) * weights).sum()) for ground in _GROUNDS
    ]
    return _GROUNDS[int(np.argmax(contrasts))]


def _every(step: int, pixels: NDArray[Any], which: Bools) -> NDArray[Any]:
    """As ``pixels[which][::step]``."""
    picked, passed = [], 0
    for rows in strips(len(which)):
        picked.append(pixels[rows][which[rows]][-passed % step :: step])
        passed += int(np.count_nonzero(which[rows]))
    return np.concatenate(picked)
