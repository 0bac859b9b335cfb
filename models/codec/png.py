"""PNG (W3C, third edition, 2025) of 8 or 16 bits: one filter for all lines, packed by ISA-L, much faster than by zlib.

Filters are meant to be chosen line by line (section 12.7), by trying all five, and zlib to look for repeated strings.
On large photographs that costs more than all else but the network (``scripts/benchmark encoders``).
"""

import struct
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Gray, gray with alpha, RGB, RGBA."""
_SUB, _UP = 1, 2
_LEVEL = 1
_SAMPLED_LINES = 16
"""Every so many, the filters are compared."""
_METRE_PER_INCH = 0.0254
_MOST_IN_CHUNK = 2**30

Bytes = NDArray[np.uint8]


def png(pixels: NDArray[np.uint8] | NDArray[np.uint16], options: dict[str, Any]) -> bytes:
    """The file. ``pixels``: ``(H, W, channels)``. ``options`` may hold ``icc_profile``, ``dpi`` and ``exif``."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    ordered = np.ascontiguousarray(pixels, ">u2" if pixels.itemsize == 2 else np.uint8)
    lines = ordered.reshape(height, -1).view(np.uint8)
    packed = memoryview(isal_zlib.compress(_filtered(lines, channels * pixels.itemsize), _LEVEL))
    parts = [packed[start : start + _MOST_IN_CHUNK] for start in range(0, len(packed), _MOST_IN_CHUNK)]
    chunks = [*_chunk(b"IHDR", header), *_described(options)]
    for part in parts:
        chunks += _chunk(b"IDAT", part)
    return b"".join([b"\x89PNG\r\n\x1a\n", *chunks, *_chunk(b"IEND", b"")])


def _filtered(lines: Bytes, pixel_bytes: int) -> Bytes:
    """Each line less the one above it, or each pixel less the one on its left; with the filter's number before it."""
    filtered = np.empty((lines.shape[0], lines.shape[1] + 1), np.uint8)
    some = np.arange(_SAMPLED_LINES, len(lines), _SAMPLED_LINES)
    up, left = lines[some] - lines[some - 1], lines[some, pixel_bytes:] - lines[some, :-pixel_bytes]
    if _size(left) < _size(up):
        filtered[:, 0] = _SUB
        filtered[:, 1 : 1 + pixel_bytes] = lines[:, :pixel_bytes]
        np.subtract(lines[:, pixel_bytes:], lines[:, :-pixel_bytes], out=filtered[:, 1 + pixel_bytes :])
    else:
        filtered[:, 0] = _UP
        filtered[0, 1:] = lines[0]
        np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    return filtered


def _size(differences: Bytes) -> float:
    """The sum of absolute differences, by which the specification compares filters."""
    return float(np.abs(differences.view(np.int8).astype(np.int16)).sum())


def _described(options: dict[str, Any]) -> list[bytes | memoryview]:
    """Profile, resolution and EXIF, which stand between the header and the pixels."""
    chunks: list[bytes | memoryview] = []
    if profile := options.get("icc_profile"):
        chunks += _chunk(b"iCCP", b"ICC Profile\0\0" + isal_zlib.compress(profile, _LEVEL))
    if dpi := options.get("dpi"):
        per_metre = [round(value / _METRE_PER_INCH) for value in dpi]
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    if exif := options.get("exif"):
        chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    return chunks


def _chunk(kind: bytes, content: bytes | memoryview) -> list[bytes | memoryview]:
    check = isal_zlib.crc32(content, isal_zlib.crc32(kind))
    return [struct.pack(">I", len(content)) + kind, content, struct.pack(">I", check)]
