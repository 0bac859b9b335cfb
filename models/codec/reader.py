"""From bytes to pixels."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageCms, UnidentifiedImageError

from models.codec import guard, metadata
from models.codec.blocks import colour_blocks
from models.codec.picture import BROKEN, SUPPORTED_FORMATS, DecodedImage, ImageHeader
from models.engine import Image, Mask
from models.errors import ImageTooLarge, InvalidField, InvalidImage, UnsupportedFormat
from models.geometry import strips

# A damaged TIFF would write a line for each of its thousands of tags into the log: what is wrong is told to the client.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_SWAPPED_ORIENTATIONS = frozenset({5, 6, 7, 8})
_UPRIGHT = {
    2: PILImage.Transpose.FLIP_LEFT_RIGHT,
    3: PILImage.Transpose.ROTATE_180,
    4: PILImage.Transpose.FLIP_TOP_BOTTOM,
    5: PILImage.Transpose.TRANSPOSE,
    6: PILImage.Transpose.ROTATE_270,
    7: PILImage.Transpose.TRANSVERSE,
    8: PILImage.Transpose.ROTATE_90,
}
_GRAY = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "I;16N")


def probe(data: bytes, *, max_pixels: int) -> ImageHeader:
    """Read the header only. Raises ``UnsupportedFormat``, ``ImageTooLarge``, ``InvalidImage``."""
    with _open(data, max_pixels) as image:
        width, height = image.size
        if metadata.orientation(image, data) in _SWAPPED_ORIENTATIONS:
            width, height = height, width
        channels = (1 if image.mode in _GRAY else 3) + _has_alpha(image)
        bits = metadata.bits_per_channel(image, data)
        return ImageHeader(image.format or "", width, height, metadata.frames(image, data), channels, bits)


def decode(data: bytes, *, max_pixels: int, deep: bool = True) -> DecodedImage:
    """Decode the first frame; ``deep``: with all 16 bits where it has as many.

    Raises as ``probe``; ``InvalidImage`` also for truncated or damaged data.
    """
    with _open(data, max_pixels) as image:
        notes = []
        if (frames := metadata.frames(image, data)) > 1:
            count = "more than one frame" if image.format == "TIFF" else f"{frames} frames"
            notes.append(f"The picture has {count}; the first one was used.")
        bits, orientation = metadata.bits_per_channel(image, data), metadata.orientation(image, data)
        exif, profile = metadata.exif_bytes(image, data), image.info.get("icc_profile")
        try:
            upright = image if orientation == 1 else image.transpose(_UPRIGHT[orientation])
            alpha = _alpha(upright)
            rgb, converted = _rgb(upright, profile)
        except BROKEN as error:
            raise InvalidImage("The image is damaged or truncated; it could not be decoded.") from error
        if upright.mode == "CMYK":
            by = "its ICC profile" if converted else "the plain formula, because it has no usable ICC profile"
            notes.append(f"The picture is CMYK; it was converted to sRGB by {by}.")
        gray = upright.mode in _GRAY or metadata.is_gray_png(image, data)
        all_bits = _deep(data, orientation, rgb, gray, alpha) if deep and bits == 16 else None
        if all_bits is not None and all_bits.shape[2] in (2, 4):
            alpha = (all_bits[:, :, -1] >> 8).astype(np.uint8)  # Pillow looks for a transparent colour in 8 bits
        if bits > 8 and all_bits is None:
            notes.append(f"The picture has {bits} bits per channel; the result has 8.")
        return DecodedImage(
            rgb,
            alpha,
            None if upright.mode == "CMYK" else profile,
            metadata.dpi(image),
            exif,
            tuple(notes),
            gray=gray,
            deep=all_bits,
            colour_blocks=colour_blocks(image, orientation),
        )


def check_mask(data: bytes, *, width: int, height: int, max_pixels: int) -> None:
    """Read the header only. Raises as ``probe``, and ``InvalidField`` when the size is not the image's."""
    with _of_mask():
        header = probe(data, max_pixels=max_pixels)
    if (header.width, header.height) != (width, height):
        raise InvalidField(
            f"mask must have the image's size, {width}x{height} pixels; it has {header.width}x{header.height}.",
            field="mask",
        )


def decode_mask(data: bytes, *, width: int, height: int, max_pixels: int) -> Mask:
    """Lighter than mid gray = remove. Raises as ``check_mask`` and ``decode``."""
    check_mask(data, width=width, height=height, max_pixels=max_pixels)
    with _of_mask():
        decoded = decode(data, max_pixels=max_pixels, deep=False)
    gray = np.asarray(PILImage.fromarray(decoded.rgb).convert("L"))
    return (gray > 127) * np.uint8(255)


@contextmanager
def _of_mask() -> Iterator[None]:
    """Errors say which of a request's two files they are about."""
    try:
        yield
    except (ImageTooLarge, InvalidImage, UnsupportedFormat) as error:
        raise type(error)(f"mask: {error.message}", field="mask") from error


def _open(data: bytes, max_pixels: int) -> PILImage.Image:
    guard.check(data, max_pixels)
    try:
        image = PILImage.open(io.BytesIO(data), formats=SUPPORTED_FORMATS)
    except PILImage.DecompressionBombError as error:
        raise ImageTooLarge(f"The image is too large: at most {max_pixels} pixels are allowed (MAX_PIXELS).") from error
    except UnidentifiedImageError as error:
        allowed = ", ".join(SUPPORTED_FORMATS)
        raise UnsupportedFormat(f"The data is not an image of a supported format ({allowed}).") from error
    except BROKEN as error:
        raise InvalidImage("The image is damaged: its header could not be read.") from error
    try:
        _check_opened(image, data, max_pixels)
    except (ImageTooLarge, InvalidImage, UnsupportedFormat):
        image.close()
        raise
    return image


def _check_opened(image: PILImage.Image, data: bytes, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise guard.too_large(max_pixels, width, height)
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        guard.check_tiff_layout({tag: tags.get(tag) for tag in (322, 323, 259) if tag in tags}, max_pixels)
        if tags.get(259) == 7:
            guard.check_tiff_scans(data)
    if image.mode in ("I", "F") and metadata.bits_per_channel(image, data) != 16:
        raise UnsupportedFormat("Pictures of 32 bits per channel are not supported; 8 and 16 bits are.")


def _has_alpha(image: PILImage.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _alpha(image: PILImage.Image) -> NDArray[np.uint8] | None:
    if _has_alpha(image):
        if image.mode.startswith("I"):
            return np.where(np.asarray(image) == image.info["transparency"], 0, 255).astype(np.uint8)
        return np.array(image.convert("RGBA").getchannel("A"))
    return None


def _rgb(image: PILImage.Image, profile: bytes | None) -> tuple[Image, bool]:
    """RGB pixels, and whether they were converted by the file's ICC profile."""
    if image.mode.startswith("I"):
        gray = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, np.newaxis], 3, axis=2), False
    if image.mode == "CMYK" and profile:
        try:
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a damaged profile: the plain conversion below
        if converted is not None:
            return np.array(converted), True
    if image.mode in ("RGBA", "RGB"):
        return np.ascontiguousarray(np.array(image)[:, :, :3]), False
    if image.mode == "P":
        return np.ascontiguousarray(np.array(image.convert("RGBA"))[:, :, :3]), False
    return np.array(image.convert("RGB")), False


def _deep(
    data: bytes, orientation: int, rgb: Image, gray: bool, alpha: NDArray[np.uint8] | None
) -> NDArray[np.uint16] | None:
    """All 16 bits, which Pillow does not give for colour; None when OpenCV reads other pixels than Pillow did."""
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if found is None or found.dtype != np.uint16:
        return None
    pixels = found.astype(np.uint16, copy=False).reshape(*found.shape[:2], -1)
    if gray:
        pixels = pixels[:, :, [0, 3] if pixels.shape[2] == 4 else [0]]  # gray with alpha is read as colour
    elif pixels.shape[2] >= 3:
        pixels[:, :, [0, 2]] = pixels[:, :, [2, 0]]
    pixels = _turned(pixels, orientation)
    colour = pixels[:, :, : 3 if pixels.shape[2] >= 3 else 1]
    if colour.shape[:2] != rgb.shape[:2]:
        return None
    # Roundings differ by one level (scaled or cut); anything more is another interpretation of the file.
    for part in strips(len(rgb)):
        if np.abs((colour[part] >> 8).astype(np.int16) - rgb[part]).max(initial=0) > 1:
            return None
    if pixels.shape[2] == 1 and alpha is not None:  # of one transparent level, which OpenCV does not heed
        return np.dstack([pixels, alpha.astype(np.uint16) * 257])
    return np.ascontiguousarray(pixels)


def _turned(pixels: NDArray[np.uint16], orientation: int) -> NDArray[np.uint16]:
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
