"""Encoded pictures in and out: structure and header checks before any decoding, orientation, depth, alpha, profiles.

Nothing here trusts a file beyond what it costs to check it; every failure is an error that names what is allowed.
"""

from models.codec.blocks import ColourBlocks
from models.codec.picture import SUPPORTED_FORMATS, DecodedImage, ImageHeader
from models.codec.reader import check_mask, decode, decode_mask, probe
from models.codec.writer import check_output, encode

__all__ = [
    "SUPPORTED_FORMATS",
    "ColourBlocks",
    "DecodedImage",
    "ImageHeader",
    "check_mask",
    "check_output",
    "decode",
    "decode_mask",
    "encode",
    "probe",
]
