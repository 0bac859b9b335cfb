"""The colour that JPEG spreads around letters: how far it reaches, and that it is gone with them."""

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from skimage import data

from benchmarks.pairs import make_pair
from models import codec
from models.engines.classic.engine import ClassicEngine
from models.geometry import Box, Rect
from models.job import FindText, InpaintJob, MaskMode, MaskOptions, OutputOptions
from models.pipeline import process
from tests.support.pictures import decoded

Pixels = NDArray[np.uint8]
LIMIT = 10**7


def jpeg(picture: Pixels, orientation: int = 1, subsampling: int = 2, quality: int = 80) -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_blocks_are_as_far_as_a_colour_reaches(orientation: int, subsampling: int) -> None:
    plain = np.full((107, 123, 3), 120, np.uint8)
    spotted = plain.copy()
    spotted[37:52, 60:63] = (250, 10, 10)
    without, with_spot = (
        codec.decode(jpeg(one, orientation, subsampling), max_pixels=LIMIT) for one in (plain, spotted)
    )
    changed = (without.rgb != with_spot.rgb).any(2)
    spot = np.abs(with_spot.rgb.astype(int) - (250, 10, 10)).max(2) < 60
    assert with_spot.colour_blocks is not None
    # What decodes to the spot's colour is at most a pixel off from what was drawn.
    grown = cv2.dilate(spot.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    touched = with_spot.colour_blocks.touched(grown, Box(0, 0, *spot.shape[::-1]))
    assert not (changed & ~touched).any()
    assert touched.sum() <= 3 * changed.sum()


def test_a_grey_jpeg_has_blocks_of_brightness() -> None:
    plain = np.full((107, 123), 120, np.uint8)
    spotted = plain.copy()
    spotted[37:52, 60:63] = 250
    without, with_spot = (codec.decode(jpeg(one, 6, -1), max_pixels=LIMIT) for one in (plain, spotted))
    assert with_spot.colour_blocks is not None
    spot = with_spot.rgb[..., 0] > 190
    touched = with_spot.colour_blocks.touched(spot, Box(0, 0, *spot.shape[::-1]))
    changed = (without.rgb != with_spot.rgb).any(2)
    assert changed.any()
    assert not (changed & ~touched).any()
    assert touched.sum() <= 3 * changed.sum()


def test_nothing_else_has_blocks() -> None:
    picture = Pillow.fromarray(np.full((20, 20, 3), 90, np.uint8))
    for mode, kind in (("RGB", "PNG"), ("L", "PNG"), ("CMYK", "JPEG")):
        buffer = io.BytesIO()
        picture.convert(mode).save(buffer, kind)
        assert codec.decode(buffer.getvalue(), max_pixels=LIMIT).colour_blocks is None


def photograph(colour: str, picture: str = "chelsea") -> tuple[Pixels, Pixels, Box]:
    """With a line of text and without, and the text's box."""
    bare = Pillow.fromarray(getattr(data, picture)())
    written = bare.copy()
    draw, font = ImageDraw.Draw(written), ImageFont.load_default(34)
    draw.text((60, 180), "Holiday 2024", colour, font)
    left, top, right, bottom = (int(v) for v in draw.textbbox((60, 180), "Holiday 2024", font))
    return np.asarray(written), np.asarray(bare), Box(left - 6, top - 6, right + 6, bottom + 6)


def cleaned(file: bytes, box: Box, *, kind: str = "image", find: FindText | None = None) -> Pixels:
    job = InpaintJob(
        (Rect(box.left, box.top, box.width, box.height),), masking=MaskOptions(MaskMode.STROKES),
        find_text=find, output=OutputOptions(kind=kind),  # type: ignore[arg-type]
    )  # fmt: skip
    result = process(
        job, file, None, ClassicEngine(), max_pixels=LIMIT, max_window_px=2048, on_progress=lambda _: None,
        should_stop=lambda: False,
    )  # fmt: skip
    return decoded(result.data)


@pytest.mark.parametrize("grey", [False, True])
def test_what_rings_in_a_tone_goes_with_its_letters(grey: bool) -> None:
    """The dots are made anew in all of a block that letters touched, not only below the letters."""
    ys, xs = np.mgrid[0:160, 0:420]
    dots = ((xs + ys) % 6 - 3) ** 2 + ((xs - ys) % 6 - 3) ** 2 < 4
    bare = Pillow.fromarray(np.where(dots, 120, 250).astype(np.uint8))
    written, font = bare.copy(), ImageFont.load_default(34)
    ImageDraw.Draw(written).text((40, 60), "Holiday 2024", 0, font)
    left, top, right, bottom = (int(v) for v in ImageDraw.Draw(written).textbbox((40, 60), "Holiday 2024", font))
    box = Box(left - 4, top - 4, right + 4, bottom + 4)
    files = [jpeg(np.asarray(one if grey else one.convert("RGB")), 1, -1 if grey else 2) for one in (bare, written)]
    truth, after = decoded(files[0]).astype(float)[box.slices], cleaned(files[1], box)[box.slices]
    assert np.sqrt(((after - truth) ** 2).mean()) < 2


def colour_error(picture: Pixels, truth: Pixels, box: Box) -> float:
    """Root mean square, of Cb and Cr."""
    ours, theirs = (cv2.cvtColor(one[box.slices], cv2.COLOR_RGB2YCrCb).astype(float) for one in (picture, truth))
    return float(np.sqrt(((ours - theirs)[..., 1:] ** 2).mean()))


@pytest.mark.parametrize("colour", ["red", "blue", "lime"])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_keeps_no_stains(colour: str, subsampling: int) -> None:
    """Against the very same pixels in a file that does not tell that it once was a JPEG."""
    written, bare, box = photograph(colour)
    file, truth = jpeg(written, subsampling=subsampling), decoded(jpeg(bare, subsampling=subsampling))
    buffer = io.BytesIO()
    Pillow.fromarray(decoded(file)).save(buffer, "PNG")
    stained = colour_error(cleaned(buffer.getvalue(), box), truth, box)
    assert colour_error(cleaned(file, box), truth, box) < 0.85 * stained


def test_nothing_changes_outside_of_the_region_and_the_mask_tells_all_that_does() -> None:
    written, _, box = photograph("red")
    file = jpeg(written)
    before, after, mask = decoded(file), cleaned(file, box), cleaned(file, box, kind="mask")[..., 0]
    changed = (before != after).any(2)
    inside = np.zeros(changed.shape, bool)
    inside[box.slices] = True
    assert changed.any()
    assert not (changed & ~inside).any()
    assert not (changed & (mask == 0)).any()
    assert set(np.unique(mask)) == {0, 127, 255}
    assert (changed & (mask == 127)).any()


def test_around_text_that_was_found_stains_go_too_but_not_where_something_is_to_stay() -> None:
    written, _, box = photograph("red")
    tight = Box(box.left + 5, box.top + 5, box.right - 5, box.bottom - 5)
    file, before = jpeg(written), decoded(jpeg(written))
    keep = Rect(0, 0, written.shape[1], tight.top)
    for exclude, stays in (((), False), ((keep,), True)):
        after = cleaned(file, tight, find=FindText(exclude=exclude))
        assert (after[: tight.top] == before[: tight.top]).all() == stays


def test_ringing_on_even_ground_goes_too() -> None:
    bare = np.full((120, 360, 3), (240, 232, 210), np.uint8)
    picture = Pillow.fromarray(bare)
    ImageDraw.Draw(picture).text((40, 40), "Fine print", (40, 30, 120), ImageFont.load_default(30))
    box = Box(32, 34, 240, 84)
    file, truth = jpeg(np.asarray(picture)), decoded(jpeg(bare))
    assert np.abs(cleaned(file, box).astype(int) - truth)[box.slices].max() <= 3


@pytest.mark.parametrize("seed", [2005, 2006, 2008, 2011])
def test_a_papers_grain_is_not_ringing(seed: int) -> None:
    """It has the size of ringing, and is everywhere: the file's blocks must not make the result worse."""
    pair = make_pair("paper", "jpeg", seed)
    assert pair.file is not None
    box = pair.boxes[0]
    buffer = io.BytesIO()
    Pillow.fromarray(pair.before).save(buffer, "PNG")
    told, untold = (
        float(((cleaned(file, box).astype(float) - pair.truth)[box.slices] ** 2).mean())
        for file in (pair.file, buffer.getvalue())
    )
    assert told <= 1.1 * untold


def test_the_same_request_gives_the_same_pixels() -> None:
    written, _, box = photograph("blue")
    assert np.array_equal(cleaned(jpeg(written), box), cleaned(jpeg(written), box))
