"""Pictures that were a JPEG once: their blocks are seen in the pixels, wherever they were cut; and in no others."""

import io

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from benchmarks.backgrounds import BACKGROUNDS
from models.engine import Image
from models.engines.classic.engine import ClassicEngine
from models.geometry import Box, Rect
from models.job import InpaintJob, MaskMode, MaskOptions
from models.pipeline import process
from models.strokes.grid import find_blocks
from tests.support.pictures import decoded

BOX = Box(32, 34, 300, 84)


def written(kind: str, *, letters: bool = True) -> Image:
    picture = Pillow.fromarray(BACKGROUNDS[kind](np.random.default_rng(11), 160, 400))
    if letters:
        ImageDraw.Draw(picture).text((40, 40), "Fine print 2024", (30, 20, 60), ImageFont.load_default(32))
    return np.asarray(picture)


def through_jpeg(picture: Image, quality: int = 80, subsampling: int = 2) -> Image:
    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return decoded(buffer.getvalue())


@pytest.mark.parametrize("kind", [kind for kind in BACKGROUNDS if kind != "tone"])
@pytest.mark.parametrize(("down", "across"), [(0, 0), (3, 0), (5, 6), (8, 1)])
def test_blocks_are_found_where_they_are(kind: str, down: int, across: int) -> None:
    cut = through_jpeg(written(kind))[down:, across:]
    found = find_blocks(cut, [BOX.moved(-across, -down)])
    assert found is not None
    assert (found.top, found.left) == (-down % 8, -across % 8)
    assert found.width == (16 if (found.top, found.left) == (0, 0) else 8)


@pytest.mark.parametrize("kind", list(BACKGROUNDS))
@pytest.mark.parametrize("letters", [True, False])
def test_there_are_none_in_what_never_was_a_jpeg(kind: str, letters: bool) -> None:
    assert find_blocks(written(kind, letters=letters), [BOX]) is None


@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(399, 0, 400, 160), Box(0, 0, 400, 160)])
def test_any_region_will_do(box: Box) -> None:
    for picture in (written("flat"), np.zeros((1, 1, 3), np.uint8), np.zeros((5, 400, 3), np.uint8)):
        region = box.clip(picture.shape[1], picture.shape[0])
        assert find_blocks(picture, [region] if region.area > 0 else []) is None


def test_a_region_too_large_to_be_looked_at_hides_no_other() -> None:
    picture = np.tile(through_jpeg(written("flat")), (6, 3, 1))
    assert find_blocks(picture, [Box(0, 0, 1200, 960), BOX]) is not None


def page(*, letters: bool) -> Image:
    picture = Pillow.new("RGB", (430, 200), (250, 249, 244))
    for line in range(9 if letters else 0):
        at = (30, 12 + 20 * line)
        ImageDraw.Draw(picture).text(at, "Nobody sees where the words stood", "black", ImageFont.load_default(15))
    return through_jpeg(np.asarray(picture), 80)


@pytest.mark.parametrize(("down", "across"), [(0, 0), (3, 6)])
def test_a_copy_as_png_keeps_nothing_of_what_rang(down: int, across: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bare, picture = (page(letters=letters)[down:, across:] for letters in (False, True))
    boxes = [Rect(22 - across, 11 + 20 * line - down, 376, 18) for line in range(9)]
    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "PNG")

    def error() -> float:
        result = process(
            InpaintJob(tuple(boxes), masking=MaskOptions(MaskMode.AUTO)), buffer.getvalue(), None, ClassicEngine(),
            max_pixels=10**7, max_window_px=2048, on_progress=lambda _: None, should_stop=lambda: False,
        )  # fmt: skip
        off = decoded(result.data).astype(float) - bare
        return float(np.sqrt(np.mean([(off[box.cover().slices] ** 2).mean() for box in boxes])))

    seen = error()
    monkeypatch.setattr("models.regions.find_blocks", lambda image, boxes: None)
    assert 2 * seen < error()
