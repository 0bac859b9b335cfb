"""What a client wants done to one image, as values. Serialised with pydantic's ``TypeAdapter`` into task records."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from models.geometry import Box, Region


class HDStrategy(StrEnum):
    """How an image larger than the engine likes is run. IOPaint's three, and ``Auto``, which plans windows."""

    ORIGINAL = "Original"
    CROP = "Crop"
    RESIZE = "Resize"
    AUTO = "Auto"


@dataclass(frozen=True, slots=True)
class HDOptions:
    """Sizes in pixels, with IOPaint's meanings."""

    strategy: HDStrategy = HDStrategy.AUTO
    crop_trigger_size: int = 1280
    crop_margin: int = 32
    resize_limit: int = 1280


@dataclass(frozen=True, slots=True)
class DiffusionOptions:
    """Parameters that only diffusion engines read. ``seed`` -1: one that follows from the image's bytes, so that the
    same request always gives the same pixels.
    """

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = -1
    steps: int = 25
    strength: float = 1.0
    guidance_scale: float = 7.5
    sampler: str = "ddim"


class MaskMode(StrEnum):
    """What of a region is replaced: all of it, the strokes of its text, or the strokes where they are sure."""

    BOX = "box"
    STROKES = "strokes"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """``dilate_px``: the mask grows by so much, over the region's edge too. ``feather_px``: within that growth, from
    its outer edge on, the fill fades into the picture; at most ``dilate_px``.
    """

    mode: MaskMode = MaskMode.BOX
    dilate_px: int = 0
    feather_px: int = 0


@dataclass(frozen=True, slots=True)
class OutputOptions:
    format: Literal["png", "jpeg", "webp"] = "png"
    quality: int = 95
    """1 to 100; WebP at 100 is lossless, PNG ignores it."""
    kind: Literal["image", "mask", "overlay"] = "image"
    """The result; the mask that led to it (white: replaced, gray: freed of a JPEG's traces); or the picture with what
    is replaced in red.
    """


@dataclass(frozen=True, slots=True)
class FindText:
    """The lines of text that are found in the picture itself, and which of them count."""

    min_score: float = 0.5
    """0 to 1."""
    min_height_px: float = 0.0
    include: tuple[Region, ...] = ()
    """Not empty: only lines of which at least half lies in these areas."""
    exclude: tuple[Region, ...] = ()
    """Lines that touch these areas stay."""


@dataclass(frozen=True, slots=True)
class InpaintJob:
    """``regions`` None means: a mask image was sent instead, or ``find_text`` says what is removed.

    ``model`` None means: the service's default.
    """

    regions: tuple[Region, ...] | None
    model: str | None = None
    hd: HDOptions = field(default_factory=HDOptions)
    diffusion: DiffusionOptions = field(default_factory=DiffusionOptions)
    output: OutputOptions = field(default_factory=OutputOptions)
    find_text: FindText | None = None
    masking: MaskOptions = field(default_factory=MaskOptions)


@dataclass(frozen=True, slots=True)
class RegionReport:
    """``mode``: what was replaced in the end. ``confidence`` that these were the strokes and ``residual_score`` (0:
    nothing is left, 1: all of it) are None where nobody looked for strokes.
    """

    index: int
    mode: MaskMode
    confidence: float | None
    masked_share: float
    """Of the region's pixels; above 1 where the mask grew over its edge."""
    model: str
    erased: bool | None
    residual_score: float | None
    trial_error: float | None = None
    """Of ``model``, where it was chosen by trial: root mean square, 0 to 255."""


@dataclass(frozen=True, slots=True)
class FillReport:
    """Which fill a group of masked pixels got. ``error``: of its trial, root mean square, 0 to 255; None: untried."""

    box: Box
    name: str
    error: float | None


@dataclass(frozen=True, slots=True)
class JobStats:
    """What was really done, for headers, ``processing_stats`` and the record of a task's result."""

    media_type: str
    width: int
    height: int
    regions_processed: int
    total_area: int
    """Masked pixels (each counted once)."""
    processing_time_s: float
    model: str
    """Name of the engine that did the work."""
    hd_strategy: str
    """The strategy that was really used."""
    notes: tuple[str, ...] = ()
    """Sentences: where less or other than asked was done."""
    stage_times_s: dict[str, float] = field(default_factory=dict)
    fills: tuple[FillReport, ...] = ()
    """Which fill each group of masked pixels got, of engines that choose; boxes in pixels of the image."""
    regions: tuple[RegionReport, ...] = ()
    """In the order of the request; empty where a mask was sent."""
    seed: int | None = None
    """What a diffusion model drew its noise from; None: the engine draws none."""


@dataclass(frozen=True, slots=True)
class JobResult:
    data: bytes
    """The encoded picture."""
    stats: JobStats
