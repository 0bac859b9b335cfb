"""Checks of a file's structure before Pillow sees it: what would cost far more time or memory than its bytes did.

Each limit is generous beside what cameras and programs write, and each loop here ends at its limit.
"""

import re
import struct
from collections.abc import Iterator

from models.errors import ImageTooLarge, InvalidImage, UnsupportedFormat

MAX_SCANS = 100
"""Of a JPEG. Each one passes over the whole picture, and can be a few bytes long; encoders write about ten."""
MAX_SEGMENTS = 2000
"""Of a JPEG's headers, and of a PNG's chunks that are not pixels."""
MAX_CHUNKS = 100_000
"""Of a PNG, those with pixels included."""
MAX_TAGS = 1000
"""Of a TIFF's first directory."""
MAX_TEXT_BYTES = 1_048_576
"""Of a PNG's text and profile chunks together, compressed; Pillow bounds each one inflated to as much."""

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_TEXTUAL = frozenset({b"tEXt", b"zTXt", b"iTXt", b"iCCP"})


def check(data: bytes, max_pixels: int) -> None:
    """Raises ``InvalidImage`` for a structure that no honest file has, ``ImageTooLarge`` for a WebP's canvas."""
    if data.startswith(_PNG):
        _check_png(data)
    elif data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        _check_webp(data, max_pixels)
    elif data[:4] in _TIFF:
        tags = tiff_directory(data)
        if tags is not None and tags > MAX_TAGS:
            raise _refused(f"its directory has more than {MAX_TAGS} tags")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and length of each chunk's content, as far as the file goes."""
    at = len(_PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at + 8, length
        at += 12 + length


def png_chunk(data: bytes, wanted: bytes) -> bytes | None:
    """The content of the first chunk of a kind."""
    for kind, start, length in png_chunks(data):
        if kind == wanted:
            return data[start : start + length]
    return None


def tiff_directory(data: bytes) -> int | None:
    """The number of tags in the first directory; None when there is none."""
    order, offset, big = _tiff_start(data)
    found = data[offset : offset + (8 if big else 2)]
    return int(struct.unpack(order + ("Q" if big else "H"), found)[0]) if len(found) == (8 if big else 2) else None


def tiff_has_more(data: bytes) -> bool:
    """Whether a second picture follows the first. Pillow would count them all, one after the other."""
    _, offset, big = _tiff_start(data)
    tags = tiff_directory(data)
    if tags is None:
        return False
    at = offset + (8 + 20 * tags if big else 2 + 12 * tags)
    return any(data[at : at + (8 if big else 4)])


def check_tiff_layout(tags: dict[int, object], max_pixels: int) -> None:
    """A tile is decoded as a whole, however small the picture; exotic compressions nest other decoders."""
    width, height = tags.get(322), tags.get(323)
    if isinstance(width, int) and isinstance(height, int) and width * height > max_pixels:
        raise _refused(f"its tiles have more than {max_pixels} pixels")
    compression = tags.get(259, 1)
    if compression not in (1, 2, 3, 4, 5, 7, 8, 32773, 32946):
        raise UnsupportedFormat(
            "TIFF is supported uncompressed and with LZW, Deflate, PackBits, JPEG or fax compression; "
            f"this one has compression {compression}."
        )


def check_tiff_scans(data: bytes) -> None:
    """JPEG inside TIFF: its strips are JPEG files of a few scans each."""
    if data.count(b"\xff\xda") > 10 * MAX_SCANS and data.count(b"\xff\xc2") > 0:
        raise _refused("the JPEG data in it has too many scans")


def _tiff_start(data: bytes) -> tuple[str, int, bool]:
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    start = data[8:16] if big else data[4:8]
    if len(start) < (8 if big else 4):
        return order, len(data), big
    return order, int(struct.unpack(order + ("Q" if big else "L"), start)[0]), big


def _check_png(data: bytes) -> None:
    others = text = 0
    for count, (kind, _, length) in enumerate(png_chunks(data), start=1):
        others += kind not in {b"IDAT", b"fdAT"}
        text += length if kind in _TEXTUAL else 0
        if count > MAX_CHUNKS or others > MAX_SEGMENTS:
            raise _refused("it has too many chunks")
        if text > MAX_TEXT_BYTES:
            raise _refused(f"it has more than {MAX_TEXT_BYTES} bytes of text and profiles")
        if kind == b"IEND":
            return


def _check_jpeg(data: bytes) -> None:
    at, segments, scans = 2, 0, 0
    while (found := _JPEG_MARKER.search(data, at)) is not None:
        marker = data[found.start() + 1]
        if marker == 0xD9:
            return
        segments += 1
        scans += marker == 0xDA
        if segments > MAX_SEGMENTS:
            raise _refused(f"it has more than {MAX_SEGMENTS} segments")
        if scans > MAX_SCANS:
            raise _refused(f"it has more than {MAX_SCANS} scans")
        # Segments have a length, but for the few markers that stand alone; what follows a scan is searched.
        lone = marker in (0x01, 0xD8)
        at = found.end() if lone else found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")


def _check_webp(data: bytes, max_pixels: int) -> None:
    """Pillow makes a decoder with two canvases of this size when it opens the file."""
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise InvalidImage("The image is damaged: its header could not be read.")
    if kind == b"VP8X":
        width, height = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (int.from_bytes(body[i : i + 2], "little") & 0x3FFF for i in (6, 8))
    if width * height > max_pixels:
        raise too_large(max_pixels, width, height)


def too_large(max_pixels: int, width: int, height: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"The image of {width}x{height} pixels is too large: at most {max_pixels} pixels are allowed (MAX_PIXELS)."
    )


def _refused(why: str) -> InvalidImage:
    return InvalidImage(f"The image is refused: {why}.")
