"""The optional parameters of every call on an image, as keyword arguments."""

from collections.abc import Sequence
from typing import Literal, TypedDict

from iopaint_client.regions import RegionInput


class Options(TypedDict, total=False):
    """The service's own names and defaults; ``/docs`` of a running service describes each."""

    model: str
    output_format: Literal["png", "jpeg", "webp"]
    quality: int
    hd_strategy: Literal["Original", "Crop", "Resize", "Auto"]
    hd_strategy_crop_trigger_size: int
    hd_strategy_crop_margin: int
    hd_strategy_resize_limit: int
    mask_mode: Literal["box", "strokes", "auto"]
    mask_dilate_px: int
    mask_feather_px: int
    output: Literal["image", "mask", "overlay"]
    sd_seed: int
    sd_steps: int
    sd_strength: float
    sd_guidance_scale: float
    sd_sampler: str
    prompt: str
    negative_prompt: str


class TextOptions(TypedDict, total=False):
    """Which of the lines that the service finds count."""

    min_score: float
    min_height_px: float
    include: Sequence[RegionInput]
    exclude: Sequence[RegionInput]


class WorkOptions(Options, TextOptions):
    """Those of calls that take regions, or find the text: ``TextOptions`` are for calls without regions."""
