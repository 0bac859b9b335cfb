"""Letters of every size: the network in copies of the crop that are small enough for it, and plain colours."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.engine import Checkpoint, Image
from models.strokes.colours import beside
from models.strokes.novelty import Bools, Field
from models.strokes.solid import solid_letters

SURE_PROBABILITY = 0.45
"""From here on a pixel is taken for a stroke's."""
_LARGE_PX = 64
"""Higher and wider regions are also looked at in smaller copies: the network knows letters of 8 to 80 pixels."""
_MAX_COPIES = 4
_CLEARLY_SURER = 0.02
_SOLID, _SOFT_PX = 0.95, 1
"""How likely plain letters are strokes, with their soft edges."""
_MISSED = 0.5
"""Of the confidence, where the network sees nothing of the letters that are sure."""
_LEAST_STROKE_PX = 6


def in_copies(rgb: Image, inside: Bools, others: Bools, prior: Field, checkpoint: Checkpoint) -> Field:
    """How likely each pixel of the crop ``rgb`` ``(H, W, 3)`` is a stroke's, by the copy in which that is surest.

    ``inside``: the region; ``others``: the other regions; ``prior``: how novel each colour is; all ``(H, W)``.
    """
    # PyTorch is loaded by processes that look for strokes, not by all that know what a region is.
    from models.strokes.network import stroke_probability

    height, width = inside.shape
    least = min(cv2.boundingRect(inside.astype(np.uint8))[2:])
    solid = solid_letters(rgb, inside, others) if least > _LARGE_PX else np.zeros_like(inside)
    found = stroke_probability(rgb, inside, others, prior, checkpoint)
    best, chosen = _confidence_over(found * inside, solid) + _CLEARLY_SURER, 0
    for copy in range(1, _MAX_COPIES):
        if least / 2 ** (copy - 1) <= _LARGE_PX:
            break
        size = (max(8, width >> copy), max(8, height >> copy))
        region, neighbours = _shrunk(inside, size) > 0, _shrunk(others, size) > 0
        novel = np.asarray(cv2.resize(prior, size), np.float32)
        coarse = stroke_probability(_shrunk(rgb, size), region, neighbours, novel, checkpoint)
        sure = _confidence_over(coarse * region, _shrunk(solid, size) > 0)
        if sure > best:
            best, chosen = sure + _CLEARLY_SURER, copy
            grown = np.ones((2**copy - 1, 2**copy - 1), np.uint8)  # a pixel of the copy is all round them
            found = np.asarray(cv2.erode(cv2.resize(coarse, (width, height)), grown), np.float32)
    if solid.any():
        found[cv2.dilate(solid.astype(np.uint8), np.ones((2 * _SOFT_PX + 1,) * 2, np.uint8)) > 0] = _SOLID
    if chosen:
        found[beside(rgb, found >= SURE_PROBABILITY, inside)] = 0
    return found


def confidence(found: Field) -> float:
    """The expected overlap (Dice) of the mask and the true strokes, if the likelihoods are right."""
    mask = found >= SURE_PROBABILITY
    masked = int(mask.sum())
    if masked < _LEAST_STROKE_PX:
        return 0.0
    return float(2 * found[mask].sum() / (masked + found.sum()))


def _confidence_over(found: Field, solid: Bools) -> float:
    """Less where letters that are sure were not seen: the network may be as sure of what lies between them."""
    missed = float(np.mean(found[solid] < SURE_PROBABILITY)) if solid.any() else 0.0
    return confidence(found) - _MISSED * missed


def _shrunk(array: NDArray[Any], size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(array.astype(np.uint8), size, interpolation=cv2.INTER_AREA), np.uint8)
