"""Letters that were found in part are completed; what only has their colour is not."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from benchmarks.backgrounds import BACKGROUNDS
from benchmarks.pairs import jpeg_file
from models.engine import InpaintEngine
from models.engines.classic.engine import ClassicEngine
from models.engines.opencv import OpenCVEngine
from models.geometry import Box, Rect
from models.job import InpaintJob, MaskMode, MaskOptions
from models.pipeline import process
from models.regions import SURE, RegionMasks
from models.strokes.colours import completed
from models.strokes.finder import find_strokes
from tests.support.pictures import decoded, encoded

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
REGION = Box(40, 40, 330, 90)


def lettered(ground: Pixels, colour: tuple[int, int, int]) -> tuple[Pixels, Bools, Bools]:
    """A line of text on a ground, its strokes and its region."""
    picture = Pillow.fromarray(ground)
    ImageDraw.Draw(picture).text((48, 42), "Many words", colour, ImageFont.load_default(40))
    before = np.asarray(picture)
    inside = np.zeros(ground.shape[:2], bool)
    inside[REGION.slices] = True
    return before, np.abs(before.astype(int) - ground).max(2) > 6, inside


def dilated(mask: Bools, by_px: int) -> Bools:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((2 * by_px + 1,) * 2, np.uint8)) > 0)


def photograph() -> Pixels:
    return BACKGROUNDS["photograph"](np.random.default_rng(5), 130, 370)


@pytest.mark.parametrize("colour", [(250, 250, 250), (20, 40, 220)])
def test_slivers_and_missed_letters_are_completed(colour: tuple[int, int, int]) -> None:
    before, strokes, inside = lettered(photograph(), colour)
    found = dilated(strokes, 2)
    found[62:65] = False
    found[:, 150:175] = False
    lacking = strokes & ~found
    assert lacking.sum() > 300
    more = completed(before, found, inside, np.zeros_like(inside))
    assert (more & lacking).sum() >= 0.97 * lacking.sum()
    assert not (more & ~dilated(strokes, 2)).any()
    assert not (more & ~inside).any()


def test_a_frame_of_the_same_paint_is_not_taken() -> None:
    ground = np.full((130, 370, 3), 240, np.uint8)
    cv2.rectangle(ground, (36, 47), (326, 110), (200, 0, 0), 5)  # it enters the region, and goes on outside of it
    before, strokes, inside = lettered(ground, (200, 0, 0))
    more = completed(before, dilated(strokes, 2), inside, np.zeros_like(inside))
    frame = (before == (200, 0, 0)).all(2) & ~dilated(strokes, 3)
    assert (frame & inside).sum() > 200
    assert not (more & frame).any()


def test_a_patch_much_thicker_than_the_strokes_is_not_taken() -> None:
    ground = photograph()
    cv2.circle(ground, (300, 66), 15, (250, 250, 250), -1)
    before, strokes, inside = lettered(ground, (250, 250, 250))
    strokes &= ~dilated((ground == 250).all(2), 3)
    more = completed(before, dilated(strokes, 2), inside, np.zeros_like(inside))
    assert not more[60:72, 292:308].any()


def sign() -> tuple[Pixels, Pixels, Box]:
    """Letters close to a frame of their own colour, the same without them, and their box."""
    bare = Pillow.new("RGB", (420, 160), (154, 163, 143))
    ImageDraw.Draw(bare).rectangle((30, 40, 345, 104), "white", (204, 0, 0), 5)
    written = bare.copy()
    draw, font = ImageDraw.Draw(written), ImageFont.load_default(38)
    draw.text((46, 49), "NO PARKING", (204, 0, 0), font)
    return np.asarray(written), np.asarray(bare), Box(46, 48, 336, 97)


def test_a_frame_within_the_region_stays_though_compression_ties_it_to_the_letters() -> None:
    written, bare, box = sign()
    outer = Box(box.left - 20, box.top - 12, box.right + 14, box.bottom + 12)
    truth = decoded(jpeg_file(bare, 80))
    after = run(jpeg_file(written, 80), outer, ClassicEngine(), MaskMode.AUTO)
    assert psnr(after, truth, outer) > 30


def run(file: bytes, box: Box, engine: InpaintEngine, mode: MaskMode) -> Pixels:
    job = InpaintJob((Rect(box.left, box.top, box.width, box.height),), masking=MaskOptions(mode))
    done = process(
        job, file, None, engine, max_pixels=10**6, max_window_px=2048, on_progress=lambda _: None,
        should_stop=lambda: False,
    )  # fmt: skip
    return decoded(done.data)


def psnr(after: Pixels, truth: Pixels, box: Box) -> float:
    error = float(((after[box.slices].astype(float) - truth[box.slices]) ** 2).mean())
    return float(10 * np.log10(255**2 / max(error, 0.05)))


@pytest.mark.parametrize("kind", ["clean", "blurred", "jpeg"])
def test_a_sign_is_no_worse_than_with_opencv_over_all_of_its_box(kind: str) -> None:
    written, bare, box = sign()
    if kind == "blurred":
        written, bare = (np.asarray(cv2.GaussianBlur(one, (0, 0), 1.1), np.uint8) for one in (written, bare))
    file = jpeg_file(written, 80) if kind == "jpeg" else encoded(written)
    truth = decoded(jpeg_file(bare, 80)) if kind == "jpeg" else bare
    ours = psnr(run(file, box, ClassicEngine(), MaskMode.AUTO), truth, box)
    assert ours >= psnr(run(file, box, OpenCVEngine(), MaskMode.BOX), truth, box) - 0.3


@pytest.mark.parametrize("kind", ["clean", "blurred"])
def test_letters_beside_the_frame_of_a_balloon_are_found_and_the_frame_is_not(kind: str) -> None:
    bare = np.repeat(BACKGROUNDS["tone"](np.random.default_rng(3), 200, 260)[..., :1], 3, 2)
    cv2.ellipse(bare, (130, 100), (80, 70), 0, 0, 360, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.ellipse(bare, (130, 100), (80, 70), 0, 0, 360, (0, 0, 0), 3, cv2.LINE_AA)
    picture = Pillow.fromarray(bare)
    ImageDraw.Draw(picture).text((72, 62), "Oh no", (0, 0, 0), ImageFont.load_default(22))
    written = np.asarray(picture)
    if kind == "blurred":
        written, bare = (np.asarray(cv2.GaussianBlur(one, (0, 0), 1.1), np.uint8) for one in (written, bare))
    box = Box(64, 58, 140, 88)  # its corner lies on the frame
    assert (bare[box.slices] < 100).any()
    assert psnr(run(encoded(written), box, ClassicEngine(), MaskMode.AUTO), bare, box) > 45


def test_what_was_found_of_black_letters_on_a_dark_photograph_is_too_unsure_to_be_taken() -> None:
    """Half of them would stay: better the box."""
    ground = np.clip(photograph().astype(int) // 5, 0, 255).astype(np.uint8)
    before, _, _ = lettered(ground, (0, 0, 0))
    strokes = find_strokes(before, [(REGION, np.ones((REGION.height, REGION.width), bool))])
    chosen = RegionMasks(before, [(REGION, np.ones((REGION.height, REGION.width), bool))], MaskOptions(MaskMode.AUTO))
    assert strokes[0].confidence < SURE
    assert chosen.mask()[REGION.slices].all()


def test_a_crop_that_is_all_stroke_has_nothing_to_complete() -> None:
    everywhere = np.ones((60, 90), bool)
    ground = np.full((60, 90, 3), 40, np.uint8)
    assert not completed(ground, everywhere, everywhere, ~everywhere).any()
