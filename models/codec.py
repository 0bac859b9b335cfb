"""Encoded pictures in and out: header checks before any decoding, orientation, alpha, profiles.

Nothing here trusts a header beyond what it costs to check it; every failure is an error that names what is allowed.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from models.engine import Image, Mask
from models.errors import ImageTooLarge, InvalidField, InvalidImage, UnsupportedFormat
from models.job import OutputOptions

SUPPORTED_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_ORIENTATION_TAG = 0x0112
_SWAPPED_ORIENTATIONS = frozenset({5, 6, 7, 8})
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError, struct.error,
           zlib.error, MemoryError)  # fmt: skip
"""What Pillow's decoders raise for broken files (its documentation promises only the first two)."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Size in pixels, after the EXIF orientation is applied."""

    format: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """``rgb``: ``(H, W, 3)`` uint8, as a viewer shows it. ``alpha``: ``(H, W)`` uint8 or None."""

    rgb: Image
    alpha: NDArray[np.uint8] | None
    icc_profile: bytes | None
    dpi: tuple[float, float] | None
    exif: bytes | None
    notes: tuple[str, ...] = ()


def probe(data: bytes, *, max_pixels: int) -> ImageHeader:
    """Read the header only. Raises ``UnsupportedFormat``, ``ImageTooLarge``, ``InvalidImage``."""
    with _open(data, max_pixels) as image:
        width, height = image.size
        if _orientation(image) in _SWAPPED_ORIENTATIONS:
            width, height = height, width
        return ImageHeader(image.format or "", width, height, _frames(image))


def decode(data: bytes, *, max_pixels: int) -> DecodedImage:
    """Decode the first frame. Raises as ``probe``; ``InvalidImage`` also for truncated or damaged data."""
    with _open(data, max_pixels) as image:
        notes = []
        if _frames(image) > 1:
            notes.append(f"The picture has {_frames(image)} frames; the first one was used.")
        if _bit_depth(data, image) > 8:
            notes.append("The picture has more than 8 bits per channel; the result has 8.")
        exif = _exif(image)
        profile = image.info.get("icc_profile")
        dpi = image.info.get("dpi")
        try:
            upright = ImageOps.exif_transpose(image) or image
            alpha = _alpha(upright)
            rgb, keeps_profile = _rgb(upright, profile)
        except _BROKEN as error:
            raise InvalidImage("The image is damaged or truncated; it could not be decoded.") from error
    return DecodedImage(rgb, alpha, profile if keeps_profile else None, dpi, exif, tuple(notes))


def decode_mask(data: bytes, *, width: int, height: int, max_pixels: int) -> Mask:
    """Lighter than mid gray = remove. Raises ``InvalidField`` when the size is not the image's."""
    try:
        header = probe(data, max_pixels=max_pixels)
        if (header.width, header.height) != (width, height):
            raise InvalidField(
                f"mask must have the image's size, {width}x{height} pixels; it has {header.width}x{header.height}.",
                field="mask",
            )
        decoded = decode(data, max_pixels=max_pixels)
    except InvalidImage as error:
        raise InvalidImage(f"mask: {error.message}", field="mask") from error
    gray = np.asarray(PILImage.fromarray(decoded.rgb).convert("L"))
    return np.where(gray > 127, 255, 0).astype(np.uint8)


def encode(rgb: Image, source: DecodedImage, output: OutputOptions) -> tuple[bytes, str, tuple[str, ...]]:
    """The encoded picture, its media type, and notes. Lossless for PNG and for WebP of quality 100."""
    notes: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    if source.icc_profile:
        options["icc_profile"] = source.icc_profile
    if source.exif:
        options["exif"] = source.exif
    if source.dpi and output.format != "webp":
        options["dpi"] = source.dpi
    if output.format == "jpeg":
        if source.alpha is not None:
            notes = ("JPEG has no transparency; the alpha channel was dropped.",)
        picture = PILImage.fromarray(rgb)
        options |= {"quality": output.quality, "subsampling": 0 if output.quality >= 90 else 2}
    else:
        rgba = rgb if source.alpha is None else np.dstack([rgb, source.alpha])
        picture = PILImage.fromarray(rgba)
        if output.format == "png":
            # Level 1 costs a third of the time of the default 6 for a few percent of size.
            options["compress_level"] = 1
        else:
            options |= {"quality": output.quality, "lossless": output.quality == 100, "exact": True, "method": 2}
    buffer = io.BytesIO()
    picture.save(buffer, output.format.upper(), **options)
    return buffer.getvalue(), f"image/{output.format}", notes


def _open(data: bytes, max_pixels: int) -> PILImage.Image:
    try:
        image = PILImage.open(io.BytesIO(data), formats=SUPPORTED_FORMATS)
    except PILImage.DecompressionBombError as error:
        raise _too_large(max_pixels) from error
    except UnidentifiedImageError as error:
        allowed = ", ".join(SUPPORTED_FORMATS)
        raise UnsupportedFormat(f"The data is not an image of a supported format ({allowed}).") from error
    except _BROKEN as error:
        raise InvalidImage("The image is damaged: its header could not be read.") from error
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise _too_large(max_pixels, f" of {width}x{height} pixels")
    return image


def _too_large(max_pixels: int, size: str = "") -> ImageTooLarge:
    return ImageTooLarge(f"The image{size} is too large: at most {max_pixels} pixels are allowed (MAX_PIXELS).")


def _frames(image: PILImage.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _orientation(image: PILImage.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:
        return 1  # damaged metadata does not make a picture unusable


def _exif(image: PILImage.Image) -> bytes | None:
    """EXIF without the orientation, which is applied to the pixels instead."""
    try:
        exif = PILImage.Exif()  # a copy: the image's own decides how it is turned upright
        exif.load(image.getexif().tobytes())
        exif.pop(_ORIENTATION_TAG, None)
        # Pillow's TIFF reader shows the file's own structure as EXIF; it must not reach another format.
        return exif.tobytes() if len(exif) and image.format != "TIFF" else None
    except _BROKEN:
        return None


def _bit_depth(data: bytes, image: PILImage.Image) -> int:
    if image.format == "PNG":
        return data[24]  # IHDR's bit depth; Pillow does not tell
    return 16 if image.mode.startswith(("I", "F")) else 8


def _alpha(image: PILImage.Image) -> NDArray[np.uint8] | None:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return np.array(image.convert("RGBA").getchannel("A"))
    return None


def _rgb(image: PILImage.Image, profile: bytes | None) -> tuple[Image, bool]:
    """RGB pixels, and whether the file's ICC profile still describes them."""
    if image.mode.startswith("I;16") or image.mode == "I":
        gray = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, np.newaxis], 3, axis=2), False
    if image.mode == "CMYK" and profile:
        try:
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a damaged profile: the plain conversion below
        if converted is not None:
            return np.array(converted), False
    if image.mode in ("RGBA", "RGB"):
        return np.ascontiguousarray(np.array(image)[:, :, :3]), True
    if image.mode == "P":
        return np.ascontiguousarray(np.array(image.convert("RGBA"))[:, :, :3]), True
    # A profile of a gray or CMYK file does not describe RGB.
    return np.array(image.convert("RGB")), False
