"""What is known of a picture: by its header alone, and decoded."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import features

from models.codec.blocks import ColourBlocks
from models.engine import Image

SUPPORTED_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", *(("AVIF",) if features.check("avif") else ()))
"""The allow-list. Every other decoder that Pillow has stays out of reach."""

BROKEN = (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, OverflowError, AttributeError,
          AssertionError, ZeroDivisionError, RuntimeError, struct.error, zlib.error, MemoryError)  # fmt: skip
"""What Pillow's decoders raise for broken files (its documentation promises only the first two)."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Size in pixels, after the EXIF orientation is applied."""

    format: str
    width: int
    height: int
    frames: int
    """2 stands for any number above 1 where counting them would mean to read them all (TIFF)."""
    channels: int
    """1 to 4, an alpha among them."""
    bits: int
    """Of each channel, the most."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """``rgb``: ``(H, W, 3)`` uint8, as a viewer shows it. ``alpha``: ``(H, W)`` uint8 or None."""

    rgb: Image
    alpha: NDArray[np.uint8] | None
    icc_profile: bytes | None
    dpi: tuple[float, float] | None
    exif: bytes | None
    """Without the orientation, which is applied to the pixels instead."""
    notes: tuple[str, ...] = ()
    gray: bool = False
    """The file has one colour channel; ``rgb`` has it three times."""
    deep: NDArray[np.uint16] | None = None
    """The pixels of a file with 16 bits per channel: ``(H, W, C)``, gray, gray with alpha, RGB or RGBA."""
    colour_blocks: ColourBlocks | None = None
    """Of a JPEG in colour."""
