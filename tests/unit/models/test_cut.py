"""Regions that end in the middle of a letter: what is left of it outside is no ground for a fill."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.backgrounds import BACKGROUNDS
from models.engine import InpaintEngine
from models.engines.classic.engine import ClassicEngine
from models.engines.opencv import OpenCVEngine
from models.geometry import Box, Rect
from models.job import InpaintJob, MaskMode, MaskOptions
from models.pipeline import process
from models.strokes.cut import cut_off
from models.strokes.finder import find_strokes
from tests.support.pictures import decoded, encoded

TEXT, AT, FONT = "HOMEMADE HUB", (60, 80), ImageFont.load_default(36)


def lettered(kind: str, fill: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Box]:
    """With and without the line, and the box around it."""
    bare = np.asarray(BACKGROUNDS[kind](np.random.default_rng(3), 200, 480), np.uint8)
    picture = Image.fromarray(bare)
    draw = ImageDraw.Draw(picture)
    draw.text(AT, TEXT, font=FONT, fill=fill)
    left, top, right, bottom = (int(side) for side in draw.textbbox(AT, TEXT, font=FONT))
    return np.asarray(picture), bare, Box(left - 3, top - 3, right + 3, bottom + 3)


@pytest.mark.parametrize("engine", [OpenCVEngine(), ClassicEngine()], ids=lambda engine: engine.info.name)
@pytest.mark.parametrize("side", ["right", "top"])
@pytest.mark.parametrize(
    ("kind", "fill", "least_db"), [("flat", "black", 60), ("gradient", "white", 50), ("photograph", "black", 36)]
)
def test_a_cut_letter_is_not_smeared_into_the_region(
    kind: str, fill: str, least_db: float, side: str, engine: InpaintEngine
) -> None:
    """Without that it was 18 to 36 dB with OpenCV's fill."""
    before, bare, line = lettered(kind, fill)
    middle_of_m = int(AT[0] + FONT.getlength("HOMEM")) + 4
    box = {
        "right": Box(line.left, line.top, middle_of_m, line.bottom),
        "top": Box(line.left, (line.top + line.bottom) // 2 - 2, line.right, line.bottom),
    }[side]
    job = InpaintJob((Rect(box.left, box.top, box.width, box.height),), masking=MaskOptions(MaskMode.AUTO))
    result = process(
        job, encoded(before), None, engine, max_pixels=10**6, max_window_px=2048, on_progress=lambda _: None,
        should_stop=lambda: False,
    )  # fmt: skip
    after, outside = decoded(result.data), np.ones(bare.shape[:2], bool)
    outside[box.slices] = False
    assert (after[outside] == before[outside]).all()
    assert result.stats.regions[0].erased
    squared = np.square(after[box.slices].astype(float) - bare[box.slices]).mean()
    assert 10 * np.log10(255**2 / max(1e-3, squared)) > least_db


def test_what_goes_on_further_than_a_letter_is_none() -> None:
    """A rule in the letters' colour, right below them and across the picture, is ground that a fill goes on from."""
    before, _, line = lettered("flat", "black")
    ruled = before.copy()
    region = Box(line.left, line.top, line.right, line.bottom - 3)
    ruled[region.bottom : region.bottom + 3] = 0
    cover = np.ones((region.height, region.width), bool)
    (strokes,) = find_strokes(ruled, [(region, cover)])
    _, beyond = cut_off(ruled, strokes, cover)
    assert not beyond.any()
