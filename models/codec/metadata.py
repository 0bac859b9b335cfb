"""What a file says besides its pixels: orientation, EXIF, resolution, frames, bits per channel."""

import math
from typing import Any

from PIL import Image as PILImage

from models.codec import guard
from models.codec.picture import BROKEN

ORIENTATION_TAG = 0x0112
_MAX_DPI = 65_535.0
"""JPEG has 16 bits for it."""


def frames(image: PILImage.Image, data: bytes) -> int:
    if image.format == "TIFF":
        return 2 if guard.tiff_has_more(data) else 1
    return int(getattr(image, "n_frames", 1))


def orientation(image: PILImage.Image, data: bytes) -> int:
    """1 to 8, as EXIF counts: of the pixels as Pillow and OpenCV give them, who turn a TIFF by themselves."""
    if image.format == "TIFF":
        return 1
    try:
        value = int(_exif(image, data).get(ORIENTATION_TAG, 1))
    except BROKEN:
        return 1  # damaged metadata does not make a picture unusable
    return value if 1 <= value <= 8 else 1


def exif_bytes(image: PILImage.Image, data: bytes) -> bytes | None:
    """EXIF without the orientation, which is applied to the pixels instead."""
    if image.format == "TIFF":
        return None  # Pillow shows the file's own structure as EXIF; it must not reach another format
    try:
        exif = PILImage.Exif()  # a copy: the image's own belongs to Pillow
        exif.load(_exif(image, data).tobytes())
        exif.pop(ORIENTATION_TAG, None)
        return exif.tobytes() if len(exif) else None
    except BROKEN:
        return None


def dpi(image: PILImage.Image) -> tuple[float, float] | None:
    """Only what every format can hold: files claim zero, infinity and worse."""
    claimed: Any = image.info.get("dpi")
    try:
        across, down = (float(value) for value in claimed)
    except BROKEN:
        return None
    sane = all(math.isfinite(value) and 1 <= value <= _MAX_DPI for value in (across, down))
    return (across, down) if sane else None


def bits_per_channel(image: PILImage.Image, data: bytes) -> int:
    if image.format == "PNG":
        return data[24]  # IHDR's bit depth; Pillow does not tell
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (1,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if image.format == "AVIF":
        at = data.find(b"av1C")
        flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    return 8


def is_gray_png(image: PILImage.Image, data: bytes) -> bool:
    """By IHDR's colour type: Pillow reads gray with alpha as colour where it has 16 bits."""
    return image.format == "PNG" and data[25] in (0, 4)


def _exif(image: PILImage.Image, data: bytes) -> PILImage.Exif:
    if image.format != "PNG":
        return image.getexif()
    # Pillow decodes all pixels to look for a chunk that may stand behind them.
    exif = PILImage.Exif()
    chunk = guard.png_chunk(data, b"eXIf")
    if chunk:
        exif.load(b"Exif\0\0" + chunk)
    return exif
