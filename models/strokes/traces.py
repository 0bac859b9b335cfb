"""What a JPEG's letters left in the blocks that they touch: their colour, and ringing where the ground is even."""

from collections.abc import Iterable

import numpy as np

from models.codec import ColourBlocks
from models.engine import Checkpoint, Image
from models.geometry import Box
from models.strokes.novelty import Bools
from models.strokes.ringing import without_ringing
from models.strokes.stains import without_stains

_AROUND_PX = 16
"""Of surroundings, beyond the blocks, that colour is taken from."""


def without_traces(
    image: Image,
    strokes: Bools,
    blocks: ColourBlocks,
    regions: Iterable[tuple[Box, Bools, Bools]],
    checkpoint: Checkpoint,
) -> tuple[Image, Bools]:
    """The picture ``(H, W, 3)`` without traces of the regions' strokes beside these; and where it was changed.

    ``strokes`` ``(H, W)``: all that will be filled. Each region: a box, which of its pixels are its strokes, and which
    are the region.
    """
    height, width = strokes.shape
    cleaned, changed = image.copy(), np.zeros(strokes.shape, bool)
    for box, ours, cover in regions:
        checkpoint()
        reach = blocks.around(box)
        # Pairs of pixels that share their colour stay together.
        left, top = (reach.left - _AROUND_PX) // 2 * 2, (reach.top - _AROUND_PX) // 2 * 2
        outer = Box(left, top, reach.right + _AROUND_PX, reach.bottom + _AROUND_PX).clip(width, height)
        mask, inside = (_placed(part, box, outer) for part in (ours, cover))
        around, rgb = strokes[outer.slices], np.ascontiguousarray(image[outer.slices])
        spoilt = blocks.touched(mask, outer) & ~around
        part, where = cleaned[outer.slices], changed[outer.slices]
        recoloured = without_stains(rgb, around, spoilt)
        if recoloured is not None:
            part[spoilt] = np.rint(recoloured)
            where |= spoilt
        even = without_ringing(rgb, around, inside, blocks.of_brightness.touched(mask, outer))
        if even is not None:
            surface, ground = even
            part[ground] = np.rint(surface[ground])
            where |= ground
    return cleaned, changed


def _placed(mask: Bools, box: Box, outer: Box) -> Bools:
    whole = np.zeros((outer.height, outer.width), bool)
    whole[box.moved(-outer.left, -outer.top).slices] = mask
    return whole
