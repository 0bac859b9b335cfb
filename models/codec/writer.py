"""From pixels to bytes, with what the source file said besides them."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from models.codec.picture import DecodedImage
from models.codec.png import png
from models.engine import Image, Mask
from models.errors import InvalidField
from models.geometry import strips
from models.job import OutputOptions

_LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}
"""Pixels that the formats' encoders allow."""
_MAX_EXIF_BYTES = 65_533
"""Of one JPEG segment."""
_MAX_PROFILE_BYTES = 4_194_304


def check_output(width: int, height: int, output: OutputOptions) -> None:
    """Raises ``InvalidField`` when the format cannot hold a picture of this size."""
    longest = _LONGEST_SIDE.get(output.format)
    if longest is not None and max(width, height) > longest:
        raise InvalidField(
            f"output_format: {output.format} holds at most {longest} pixels a side; the picture has {width}x{height}.",
            field="output_format",
        )


def encode(
    rgb: Image, source: DecodedImage, output: OutputOptions, mask: Mask | None = None
) -> tuple[bytes, str, tuple[str, ...]]:
    """The encoded picture, its media type, and notes. Lossless for PNG and for WebP of quality 100.

    ``mask`` marks what differs from ``source``: with it, a gray picture stays gray, and outside of it a PNG keeps all
    bits of a file that has 16 per channel. Without it ``rgb`` is taken as a picture of its own: colour, 8 bits.
    """
    height, width = rgb.shape[:2]
    check_output(width, height, output)
    notes: list[str] = []
    gray = source.gray and mask is not None and output.format != "webp"
    options = _options(source, output, gray, notes)
    if source.deep is not None and mask is not None and output.format == "png":
        return png(_merged(rgb, source.deep, mask), options), "image/png", tuple(notes)
    if source.deep is not None:
        notes.append("The picture has 16 bits per channel; the result has 8. output_format png keeps them.")
    alpha = source.alpha
    if output.format == "jpeg" and alpha is not None:
        notes.append("JPEG has no transparency; the alpha channel was dropped.")
        alpha = None
    pixels = _grays(rgb) if gray else rgb
    if output.format == "png":
        return png(pixels if alpha is None else np.dstack([pixels, alpha]), options), "image/png", tuple(notes)
    picture = PILImage.fromarray(pixels[:, :, 0] if gray else pixels)
    if alpha is not None:
        picture.putalpha(PILImage.fromarray(alpha))
    buffer = io.BytesIO()
    picture.save(buffer, output.format.upper(), **options)
    return buffer.getvalue(), f"image/{output.format}", tuple(notes)


def _options(source: DecodedImage, output: OutputOptions, gray: bool, notes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if source.icc_profile:
        if len(source.icc_profile) > _MAX_PROFILE_BYTES or source.icc_profile[16:20] != (b"GRAY" if gray else b"RGB "):
            notes.append("The ICC profile does not fit the result's pixels; it was dropped.")
        else:
            options["icc_profile"] = source.icc_profile
    if source.exif:
        if len(source.exif) > _MAX_EXIF_BYTES:
            notes.append("The EXIF data is too large to be carried over; it was dropped.")
        else:
            options["exif"] = source.exif
    if source.dpi and output.format != "webp":
        options["dpi"] = source.dpi
    if output.format == "jpeg":
        options |= {"quality": output.quality, "subsampling": 0 if output.quality >= 90 else 2}
    elif output.format == "webp":
        options |= {"quality": output.quality, "lossless": output.quality == 100, "exact": True, "method": 2}
    return options


def _grays(rgb: Image) -> NDArray[np.uint8]:
    """One channel; exact where the three are equal."""
    return np.asarray(PILImage.fromarray(rgb).convert("L"))[:, :, np.newaxis]


def _merged(rgb: Image, deep: NDArray[np.uint16], mask: Mask) -> NDArray[np.uint16]:
    """In the order of bytes that PNG has."""
    merged = deep.astype(">u2")
    colours = rgb if deep.shape[2] >= 3 else _grays(rgb)
    for rows in strips(len(mask)):
        hole, part = mask[rows, :, np.newaxis] > 0, colours[rows]
        np.copyto(merged[rows, :, : part.shape[2]], part * np.uint16(257), where=hole)
    return merged
