"""The PNG encoder, read back by libraries that had no part in it."""

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from models.codec import png as module
from models.codec.png import png

SHAPES = [(1, 1), (1, 300), (300, 1), (15, 17), (64, 33)]


def picture(shape: tuple[int, int], channels: int, deep: bool, across: bool) -> np.ndarray:
    """Stripes, so that either filter is the better one, and noise, so that no pixel is like another."""
    random = np.random.default_rng(7)
    most = 65_535 if deep else 255
    pixels = random.integers(0, most // 20, (*shape, channels))
    stripes = np.arange(shape[1] if across else shape[0]) % 2 * (most // 2)
    pixels += stripes[None, :, None] if across else stripes[:, None, None]
    return pixels.astype(np.uint16 if deep else np.uint8)


def read(data: bytes, channels: int) -> np.ndarray:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    found = found.reshape(*found.shape[:2], -1)
    return found[:, :, [2, 1, 0, *range(3, channels)]] if channels >= 3 else found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("across", [False, True])
def test_libpng_reads_every_pixel(shape: tuple[int, int], channels: int, deep: bool, across: bool) -> None:
    pixels = picture(shape, channels, deep, across)
    assert np.array_equal(read(png(pixels, {}), channels), pixels)
    Image.open(io.BytesIO(png(pixels, {}))).verify()


@pytest.mark.parametrize("shape", SHAPES)
def test_pillow_reads_gray_with_alpha(shape: tuple[int, int]) -> None:
    pixels = picture(shape, 2, deep=False, across=True)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(pixels, {})))), pixels)


@pytest.mark.parametrize("across", [False, True])
def test_the_filter_follows_the_picture(across: bool) -> None:
    data = png(picture((64, 65), 3, deep=False, across=across), {})
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    lines = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8).reshape(64, -1)
    assert set(lines[:, 0].tolist()) == ({2} if across else {1})


def test_views_are_written_as_they_look() -> None:
    pixels = picture((40, 60), 3, deep=False, across=False)
    for view in (pixels[::-1], pixels[:, ::-2], pixels.transpose(1, 0, 2), pixels[..., ::-1]):
        assert np.array_equal(read(png(view, {}), 3), view)


def test_large_files_have_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_IN_CHUNK", 1000)
    pixels = picture((64, 65), 3, deep=False, across=False)
    data = png(pixels, {})
    assert data.count(b"IDAT") > 3
    assert np.array_equal(read(data, 3), pixels)


def test_what_describes_the_picture_stands_before_its_pixels() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    data = png(picture((8, 9), 3, deep=False, across=False),
               {"dpi": (300, 150), "icc_profile": b"p" * 200, "exif": exif.tobytes()})  # fmt: skip
    opened = Image.open(io.BytesIO(data))
    assert opened.info["icc_profile"] == b"p" * 200
    assert [round(value) for value in opened.info["dpi"]] == [300, 150]
    assert opened.getexif()[0x010E] == "a description"
    assert max(data.index(kind) for kind in (b"iCCP", b"pHYs", b"eXIf")) < data.index(b"IDAT")
