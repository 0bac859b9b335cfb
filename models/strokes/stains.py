"""Stains: JPEG spreads the colour of letters over whole blocks, so it is found where no stroke is.

Within the blocks that strokes touch only the colour is made anew, from what is further away and of like brightness
(Levin et al., "Colorization using optimization", 2004); the brightness, and with it the texture, stays.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Image
from models.strokes.novelty import Bools, Field

_TRUSTED_PX = 3.0
"""From so far from the strokes on, a colour counts as much as that of its neighbours; at the strokes, for nothing."""
_EDGE_LEVELS = 6.0
_LEAST_LINK, _HIDDEN_LINK = 0.001, 0.05
"""Neighbours of different brightness may differ in colour; under a stroke nobody knows."""
_ROUNDS = 12
_START_PX = 3.0
_GREY_LEVELS = 4.0
"""Where colour varies no more than so much, there is nothing that could stain."""
_CHROMA = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
"""From RGB to Cb and Cr (ITU-T T.871), and back: what to add to RGB for so much more of them."""
_TO_RGB = np.array([[0, 1.402], [-0.344136, -0.714136], [1.772, 0]], np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def without_stains(rgb: Image, strokes: Bools, spoilt: Bools) -> Field | None:
    """What is ``spoilt`` of a crop, ``(H, W, 3)``, with new colour: RGB ``(N, 3)``. None: it is all of one colour.

    ``strokes`` are all that will be filled, which no colour is taken from; both of the crop's shape ``(H, W)``. The
    crop begins where a pair of pixels does that shares its colour, and shows surroundings.
    """
    chroma = _chroma(rgb)
    if float(np.ptp(chroma.reshape(-1, 2), axis=0).max()) <= _GREY_LEVELS:
        return None
    colour = _colour(rgb, chroma, strokes, spoilt)
    return np.asarray(np.clip(rgb[spoilt] + (colour - chroma)[spoilt] @ _TO_RGB.T, 0, 255), np.float32)


def _chroma(rgb: Image) -> Field:
    """Cb and Cr about zero, ``(H, W, 2)``."""
    return np.asarray(cv2.transform(rgb.astype(np.float32), _CHROMA), np.float32)


def _colour(rgb: Image, chroma: Field, strokes: Bools, spoilt: Bools) -> Field:
    """Cb and Cr, ``(H, W, 2)``, as they would be without stains."""
    distance = cv2.distanceTransform((~strokes).astype(np.uint8), cv2.DIST_L2, 5)
    trust = np.where(spoilt, np.clip(distance / _TRUSTED_PX, 0, 1), 1).astype(np.float32)
    hidden = _halved(strokes.astype(np.float32)) > 0
    trust = np.where(hidden, 0, _halved(trust)).astype(np.float32)
    solved = _solved(_halved(chroma), trust, _halved(rgb @ _LUMA), hidden)
    height, width = strokes.shape
    return np.asarray(cv2.resize(solved, (2 * trust.shape[1], 2 * trust.shape[0]))[:height, :width], np.float32)


def _halved(array: NDArray[np.float32]) -> Field:
    """Means of two by two."""
    padded = np.pad(array, [(0, size % 2) for size in array.shape[:2]] + [(0, 0)] * (array.ndim - 2), mode="edge")
    size = padded.shape[1] // 2, padded.shape[0] // 2
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)


def _solved(given: Field, trust: Field, luma: Field, hidden: Bools) -> Field:
    """Colours that are like the given ones as far as these are trusted, and like their neighbours' of like luma.

    By conjugate gradients; always as many rounds, so that the same picture gives the same colours.
    """
    weights = trust[..., None] + np.float32(1e-6)
    near = cv2.GaussianBlur(given * weights, (0, 0), _START_PX)
    near = near / np.maximum(cv2.GaussianBlur(weights, (0, 0), _START_PX)[..., None], 1e-6)
    colour = np.where(trust[..., None] < 0.5, near, given).astype(np.float32)
    across, down = (_links(luma, hidden, axis)[..., None] for axis in (1, 0))
    total = weights.copy()
    for links, axis in ((across, 1), (down, 0)):
        ahead, behind = _sides(axis)
        total[ahead] += links
        total[behind] += links

    def applied(x: Field) -> Field:
        out = total * x
        for links, axis in ((across, 1), (down, 0)):
            ahead, behind = _sides(axis)
            out[ahead] -= links * x[behind]
            out[behind] -= links * x[ahead]
        return np.asarray(out, np.float32)

    residual = weights * given - applied(colour)
    step = residual / total
    size = (residual * step).sum((0, 1))
    for _ in range(_ROUNDS):
        moved = applied(step)
        length = size / np.maximum((step * moved).sum((0, 1)), 1e-9)
        colour += length * step
        residual -= length * moved
        steepest = residual / total
        new = (residual * steepest).sum((0, 1))
        step = steepest + new / np.maximum(size, 1e-9) * step
        size = new
    return colour


def _sides(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """All but the last, and all but the first, along an axis of two."""
    every = slice(None)
    low, high = slice(None, -1), slice(1, None)
    return ((low, every), (high, every)) if axis == 0 else ((every, low), (every, high))


def _links(luma: Field, hidden: Bools, axis: int) -> Field:
    """How alike neighbours are, 0 to 1."""
    ahead, behind = _sides(axis)
    alike = np.exp(-(((luma[behind] - luma[ahead]) / _EDGE_LEVELS) ** 2)) + _LEAST_LINK
    return np.where(hidden[ahead] | hidden[behind], _HIDDEN_LINK, alike).astype(np.float32)
