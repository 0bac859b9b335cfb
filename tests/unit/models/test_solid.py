"""Letters as large as on posters, which the network does not know: found whole, and nothing else taken for them."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from benchmarks.backgrounds import BACKGROUNDS
from models.geometry import Box
from models.strokes.finder import find_strokes
from models.strokes.solid import solid_letters

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def ground(kind: str, height: int, width: int, seed: int) -> Pixels:
    """As large, with the grain of a camera."""
    rng = np.random.default_rng(seed)
    large = cv2.resize(BACKGROUNDS[kind](rng, 200, 480), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large + rng.normal(0, 1.5, large.shape), 0, 255), np.uint8)


def poster(kind: str, size: int, seed: int, second: str = "") -> tuple[Pixels, Bools, Box]:
    """With bold letters, the letters, and their box; ``second``: the colour of the lower half of them."""
    clean = ground(kind, size * 9 // 5, size * 4, seed)
    colour = (15, 15, 20) if clean.mean() > 100 else (250, 250, 245)
    picture, font = Pillow.fromarray(clean), ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    draw.text((size // 3, size // 4), "Sale 5", colour, font, stroke_width=size // 24)
    if second:
        lower = picture.copy()
        ImageDraw.Draw(lower).text((size // 3, size // 4), "Sale 5", second, font, stroke_width=size // 24)
        half = (0, size * 9 // 10, picture.width, picture.height)
        picture.paste(lower.crop(half), half)
    written = np.asarray(picture)
    drawn = np.abs(written.astype(np.int16) - clean).max(2) > 6
    left, top, width, height = cv2.boundingRect(drawn.astype(np.uint8))
    return written, drawn, Box(left - 5, top - 5, left + width + 5, top + height + 5)


def shares(written: Pixels, drawn: Bools, box: Box) -> tuple[float, float]:
    """Of the letters' pixels, how many are found, and the mask's area over that of the letters grown by two pixels."""
    found = find_strokes(written, [(box, np.ones((box.height, box.width), bool))])[0]
    true = drawn[box.top : box.bottom, box.left : box.right]
    grown = cv2.dilate(true.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    return (found.mask & true).sum() / true.sum(), found.mask.sum() / grown.sum()


@pytest.mark.parametrize(
    ("kind", "size", "seed"),
    [
        ("photograph", 90, 5), ("photograph", 130, 5), ("photograph", 180, 0), ("photograph", 180, 5),
        ("photograph", 240, 2), ("paper", 130, 4), ("paper", 240, 0), ("clouds", 240, 0),
    ],
)  # fmt: skip
def test_bold_letters_are_found_whole(kind: str, size: int, seed: int) -> None:
    """Of none half was, of most a few hundredths: they passed for the ground of a sign."""
    recall, area = shares(*poster(kind, size, seed))
    assert recall >= 0.99
    assert area <= 1.4


def test_letters_of_two_colours_are_found_whole() -> None:
    recall, area = shares(*poster("photograph", 180, 0, second="#40e0d0"))
    assert recall >= 0.98
    assert area <= 1.4


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["photograph", "tone", "waves", "clouds"])
def test_nothing_else_is_taken_for_letters(kind: str, seed: int) -> None:
    clean = ground(kind, 800, 1920, seed)
    inside = np.zeros(clean.shape[:2], bool)
    inside[60:-60, 60:-60] = True
    assert not solid_letters(clean, inside, np.zeros_like(inside)).any()


@pytest.mark.parametrize(
    ("narrow", "wide", "found"),
    [("within", "within", True), ("through", "through", False), ("within", "through", False)],
)
def test_what_goes_on_beyond_the_region_is_no_letter(narrow: str, wide: str, found: bool) -> None:
    """Bars, as crisp as letters and of one colour: most of it has to be within the region."""
    picture: Pixels = ground("photograph", 300, 900, 3)
    rows = {"within": slice(80, -80), "through": slice(20, -20)}
    for left in range(100, 800, 100):
        picture[rows[narrow], left : left + 16] = (250, 20, 20)
        picture[rows[wide], left + 40 : left + 70] = (250, 20, 20)
    inside = np.zeros(picture.shape[:2], bool)
    inside[50:-50, 50:-50] = True
    assert solid_letters(picture, inside, np.zeros_like(inside)).any() == found


def test_dots_are_no_letters() -> None:
    picture: Pixels = np.full((200, 900, 3), 240, np.uint8)
    for left in range(-10, 920, 24):
        for top in range(-10, 220, 24):
            cv2.circle(picture, (left, top), 8, (20, 20, 20), -1)
    inside = np.zeros(picture.shape[:2], bool)
    inside[16:-16, 16:-16] = True
    assert not solid_letters(picture, inside, np.zeros_like(inside)).any()


def test_a_frame_within_the_region_is_no_letter() -> None:
    """Around a caption that was boxed with its frame."""
    picture: Pixels = ground("photograph", 300, 900, 3)
    cv2.rectangle(picture, (70, 70), (830, 230), (250, 20, 20), 6)
    inside = np.zeros(picture.shape[:2], bool)
    inside[60:-60, 60:-60] = True
    none = np.zeros_like(inside)
    assert not solid_letters(picture, inside, none).any()
    for left in range(150, 750, 100):
        picture[110:190, left : left + 20] = (250, 20, 20)
    found = solid_letters(picture, inside, none)
    assert found[150, 155:165].all()
    assert not found[68:74].any()
