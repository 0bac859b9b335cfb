"""Files that would cost far more than their bytes: each is refused from its structure or header, at once."""

import io
import struct
import time
import zlib

import pytest
from PIL import Image

from models import codec
from models.codec import guard
from models.errors import ImageTooLarge, InvalidImage, TextRemovalError, UnsupportedFormat
from tests.support.odd_images import chunk
from tests.support.pictures import encoded, photo

LIMIT = 64_000_000
PNG = encoded(photo(16, 16))
AFTER_HEADER = 33


def png_of(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + PNG[AFTER_HEADER:]


def webp_of(width: int, height: int) -> bytes:
    """A canvas for two frames."""
    buffer = io.BytesIO()
    frames = [Image.fromarray(photo(16, 16, seed)) for seed in (1, 2)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    data = buffer.getvalue()
    return data[:24] + size + data[30:]


def lossless_webp_of(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    body = b"\x2f" + struct.pack("<I", bits) + b"\0" * 20
    return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(encoded(photo(16, 16), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp_of(width: int, height: int) -> bytes:
    data = bytearray(encoded(photo(16, 16), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def tiff(entries: list[tuple[int, int, int]], more: int = 0, repeat: int = 1) -> bytes:
    """Directories of LONG entries ``(tag, count, value)``, ``repeat`` of them in a chain."""
    one = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHLL", tag, 4, n, v) for tag, n, v in entries)
    size = len(one) + 4
    chain = b"".join(
        one + struct.pack("<L", 8 + size * (number + 1) if number + 1 < repeat else more) for number in range(repeat)
    )
    return b"II*\0" + struct.pack("<L", 8) + chain + b"\0" * 1024


def tiff_of(width: int, height: int, *extra: tuple[int, int, int], repeat: int = 1) -> bytes:
    plain = [(256, 1, width), (257, 1, height), (258, 1, 8), (259, 1, 1), (262, 1, 1), (277, 1, 1)]
    layout = list(extra) or [(273, 1, 8), (278, 1, height), (279, 1, 100)]
    return tiff(sorted(plain + layout), repeat=repeat)


def avif_of(width: int, height: int) -> bytes:
    data = encoded(photo(64, 64), "AVIF")
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def with_chunk(kind: bytes, content: bytes, times: int = 1) -> bytes:
    return PNG[:AFTER_HEADER] + chunk(kind, content) * times + PNG[AFTER_HEADER:]


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: each of them passes over the whole picture."""
    data = encoded(photo(64, 64), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


ZEROS = zlib.compress(b"\0" * 100_000_000, 9)
BOMBS: dict[str, tuple[bytes, type[TextRemovalError]]] = {
    "PNG of 60000 x 60000": (png_of(60_000, 60_000), ImageTooLarge),
    "PNG of 2 billion x 1": (png_of(2**31 - 1, 1), ImageTooLarge),
    "WebP canvas": (webp_of(16_383, 16_383), ImageTooLarge),
    "WebP canvas of 2^24": (webp_of(2**24, 2**24), ImageTooLarge),
    "WebP lossless": (lossless_webp_of(16_383, 16_383), ImageTooLarge),
    "JPEG of 65000 x 65000": (jpeg_of(65_000, 65_000), ImageTooLarge),
    "BMP of 60000 x 60000": (bmp_of(60_000, 60_000), ImageTooLarge),
    "TIFF of 60000 x 60000": (tiff_of(60_000, 60_000), ImageTooLarge),
    "AVIF of 60000 x 60000": (avif_of(60_000, 60_000), TextRemovalError),
    "GIF": (b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\0" * 100, UnsupportedFormat),
    "PNG zTXt": (with_chunk(b"zTXt", b"k\0\0" + ZEROS), InvalidImage),
    "PNG iTXt": (with_chunk(b"iTXt", b"k\0\1\0\0\0" + ZEROS), InvalidImage),
    "PNG iCCP": (with_chunk(b"iCCP", b"k\0\0" + ZEROS), InvalidImage),
    "PNG text, much of it": (with_chunk(b"tEXt", b"k\0" + b"x" * 100_000, 20), InvalidImage),
    "PNG of many chunks": (with_chunk(b"tIME", b"", 200_000), InvalidImage),
    "PNG of many empty IDATs": (with_chunk(b"IDAT", b"", 200_000), InvalidImage),
    "JPEG of many scans": (many_scans(1000), InvalidImage),
    "JPEG of many segments": (b"\xff\xd8" + b"\xff\xe0\0\x02" * 500_000, InvalidImage),
    "TIFF of huge tiles": (
        tiff_of(16, 16, (322, 1, 40_000), (323, 1, 40_000), (324, 1, 8), (325, 1, 100)), InvalidImage
    ),
    "TIFF of many tags": (tiff([(30_000, 1, 0)] * 60_000), InvalidImage),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(name: str) -> None:
    data, error = BOMBS[name]
    start = time.process_time()
    with pytest.raises(error):
        codec.probe(data, max_pixels=LIMIT)
    assert time.process_time() - start < 0.5


def test_pages_of_a_tiff_are_not_counted_one_by_one() -> None:
    data = tiff_of(4, 4, repeat=200_000)
    start = time.process_time()
    assert codec.probe(data, max_pixels=LIMIT).frames == 2
    assert time.process_time() - start < 0.5


def test_probing_decodes_no_pixels() -> None:
    """Pixels that cannot be decoded do not matter to a header."""
    at = PNG.index(b"IDAT")
    broken = PNG[: at + 4] + b"\xff" * 50 + PNG[at + 54 :]
    assert codec.probe(broken, max_pixels=LIMIT).width == 16
    with pytest.raises(InvalidImage):
        codec.decode(broken, max_pixels=LIMIT)


def test_the_limits_of_a_structure_at_and_one_above() -> None:
    codec.probe(with_chunk(b"tIME", b"", guard.MAX_SEGMENTS - 2), max_pixels=LIMIT)  # with IHDR and IEND
    with pytest.raises(InvalidImage, match="chunks"):
        codec.probe(with_chunk(b"tIME", b"", guard.MAX_SEGMENTS - 1), max_pixels=LIMIT)
    own = encoded(photo(64, 64), "JPEG", progressive=True).count(b"\xff\xda")
    assert codec.decode(many_scans(guard.MAX_SCANS - own + 1), max_pixels=LIMIT).rgb.shape == (64, 64, 3)
    with pytest.raises(InvalidImage, match="scans"):
        codec.decode(many_scans(guard.MAX_SCANS - own + 2), max_pixels=LIMIT)


def test_a_thumbnails_scans_do_not_count() -> None:
    """Bytes inside a segment are skipped, whatever they look like."""
    plain = encoded(photo(16, 16), "JPEG")
    segment = b"\xff\xe5" + struct.pack(">H", 2 + 2 * 5000) + b"\xff\xda" * 5000
    assert codec.decode(plain[:2] + segment + plain[2:], max_pixels=LIMIT).rgb.shape == (16, 16, 3)
