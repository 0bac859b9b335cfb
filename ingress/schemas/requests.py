"""What clients send. Unknown fields are ignored, as the original's did; wrong types are refused."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from models.geometry import Polygon, Rect, Region
from models.job import (
    DiffusionOptions,
    FindText,
    HDOptions,
    HDStrategy,
    InpaintJob,
    MaskMode,
    MaskOptions,
    OutputOptions,
)

TASK_ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
BATCH_ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}$"
"""Shorter than a task's: the ids of its tasks are `<batch_id>.<index>`."""
_IMAGE = "Base64 of an image file; a `data:image/...;base64,` prefix is accepted. In a form: the file itself."


class RectModel(BaseModel):
    """A rectangle in pixels, origin top left. Fractions cover the pixels they touch. Its corners lie within
    1,000,000,000 pixels of the origin."""

    x: float = Field(description="Left edge, pixels.")
    y: float = Field(description="Top edge, pixels.")
    width: float = Field(description="Width, pixels, more than 0.")
    height: float = Field(description="Height, pixels, more than 0.")

    def region(self) -> Region:
        return Rect(self.x, self.y, self.width, self.height)


class PolygonModel(BaseModel):
    """A polygon in pixels, origin top left. Its corners lie within 1,000,000,000 pixels of the origin."""

    points: list[tuple[float, float]] = Field(
        description="Corners as [x, y], 3 or more.", min_length=3, max_length=10_000
    )

    def region(self) -> Region:
        return Polygon(tuple(self.points))


def _kind(value: Any) -> str:
    has_points = "points" in value if isinstance(value, dict) else isinstance(value, PolygonModel)
    return "polygon" if has_points else "rect"


RegionModel = Annotated[
    Annotated[RectModel, Tag("rect")] | Annotated[PolygonModel, Tag("polygon")], Discriminator(_kind)
]


class ImageRequest(BaseModel):
    """Every call that is about an image."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), allow_inf_nan=False)

    image: str = Field(description=_IMAGE)

    def engine(self) -> str | None:
        """The engine that it names."""
        return None

    def job(self, overruled: HDStrategy | None, mask_mode: MaskMode = MaskMode.BOX) -> InpaintJob:
        """The domain's job; ``overruled`` is the operator's strategy, ``mask_mode`` what holds unless it says so."""
        return InpaintJob(regions=None, find_text=self.text_of_job())

    def text_of_job(self) -> FindText | None:
        return None


class Parameters(ImageRequest):
    """Shared by every call that changes an image; all optional."""

    sd_seed: int = Field(
        -1, ge=-1, lt=2**63, description="Seed of diffusion models; -1: one that follows from the image. See X-Seed."
    )
    sd_steps: int = Field(25, ge=1, le=1000, description="Steps of diffusion models; for `ldm` at most 500.")
    sd_strength: float = Field(1.0, ge=0, le=1, description="Strength of diffusion models.")
    sd_guidance_scale: float = Field(7.5, ge=0, description="Guidance scale of diffusion models.")
    sd_sampler: str = Field(
        "ddim",
        max_length=100,
        description="Sampler of diffusion models, in any case; an unknown one is refused with the known ones.",
    )
    hd_strategy: Literal["Original", "Crop", "Resize", "Auto"] | None = Field(
        None, description="How large images are run: Original, Crop, Resize (IOPaint's meanings) or Auto (the default)."
    )
    hd_strategy_crop_trigger_size: int = Field(1280, ge=1, description="Crop: longest side beyond which it crops, px.")
    hd_strategy_crop_margin: int = Field(32, ge=0, le=4096, description="Crop: context around each hole, pixels.")
    hd_strategy_resize_limit: int = Field(1280, ge=8, description="Resize: longest side that is run, pixels.")
    prompt: str = Field("", max_length=10_000, description="Prompt of diffusion models.")
    negative_prompt: str = Field("", max_length=10_000, description="Negative prompt of diffusion models.")
    model: str | None = Field(
        None, max_length=200, description="Engine; one of those that `/info` names. It never falls back."
    )
    output_format: Literal["png", "jpeg", "webp"] = Field("png", description="Format of the result.")
    quality: int = Field(95, ge=1, le=100, description="Of jpeg and webp; webp at 100 is lossless.")
    mask_mode: Literal["box", "strokes", "auto"] | None = Field(
        None,
        description="What of a region is replaced: box (all of it), strokes (its letters), auto (letters where they "
        "are found with confidence). The server's default is box.",
    )
    mask_dilate_px: int = Field(0, ge=0, le=64, description="Regions' masks grow by so many pixels.")
    mask_feather_px: int = Field(
        0, ge=0, le=64, description="Within that growth the fill fades in over so many pixels; at most mask_dilate_px."
    )
    output: Literal["image", "mask", "overlay"] = Field(
        "image", description="The result, the mask that led to it, or the picture with the mask in red."
    )

    @field_validator("hd_strategy", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    def regions_of_job(self) -> tuple[Region, ...] | None:
        return None

    def engine(self) -> str | None:
        return self.model if "model" in self.model_fields_set else None

    def job(self, overruled: HDStrategy | None, mask_mode: MaskMode = MaskMode.BOX) -> InpaintJob:
        return InpaintJob(
            regions=self.regions_of_job(),
            model=self.model,
            hd=HDOptions(
                strategy=overruled or HDStrategy(self.hd_strategy or "Auto"),
                crop_trigger_size=self.hd_strategy_crop_trigger_size,
                crop_margin=self.hd_strategy_crop_margin,
                resize_limit=self.hd_strategy_resize_limit,
            ),
            diffusion=DiffusionOptions(
                prompt=self.prompt,
                negative_prompt=self.negative_prompt,
                seed=self.sd_seed,
                steps=self.sd_steps,
                strength=self.sd_strength,
                guidance_scale=self.sd_guidance_scale,
                sampler=self.sd_sampler,
            ),
            output=OutputOptions(self.output_format, self.quality, self.output),
            masking=MaskOptions(
                mode=MaskMode(self.mask_mode or mask_mode),
                dilate_px=self.mask_dilate_px,
                feather_px=min(self.mask_feather_px, self.mask_dilate_px),
            ),
            find_text=self.text_of_job(),
        )


class MaskRequest(Parameters):
    """`/inpaint`: an image and a mask."""

    mask: str = Field(description="Base64 of a mask of the image's size; white = remove. In a form: the file itself.")


class RegionsRequest(Parameters):
    """An image and the regions to clean."""

    regions: list[RegionModel] = Field(min_length=1, description="Rectangles and polygons to remove, pixels.")

    def regions_of_job(self) -> tuple[Region, ...]:
        return tuple(region.region() for region in self.regions)


class TaskFields(BaseModel):
    """What a call has besides, that is answered at once and worked on later."""

    task_id: str | None = Field(
        None, pattern=TASK_ID, description="Chosen by the client: letters, digits, `.`, `_`, `-`."
    )
    enable_progress: bool = Field(True, description="Send progress messages.")
    progress_interval: float = Field(
        1.0, ge=0.1, le=3600, description="Seconds after which the newest state is repeated when there is no news."
    )
    callback_url: str | None = Field(None, max_length=2048, description="Where the end of the task is POSTed.")
    priority: int = Field(0, ge=-100, le=100, description="Among your own waiting tasks, higher goes first.")


class AsyncRequest(TaskFields, RegionsRequest):
    """As `RegionsRequest`, answered at once and worked on later."""


class TextFields(BaseModel):
    """Which of the lines that are found count; all optional."""

    min_score: float = Field(0.5, ge=0, le=1, description="Lines that the detector is less sure of are left out.")
    min_height_px: float = Field(0.0, ge=0, le=100_000, description="Lines less high are left out, pixels.")
    include: list[RegionModel] = Field([], description="Not empty: only lines that lie in these areas by half or more.")
    exclude: list[RegionModel] = Field([], description="Lines that touch these areas are left out.")

    def text_of_job(self) -> FindText:
        return FindText(
            min_score=self.min_score,
            min_height_px=self.min_height_px,
            include=tuple(region.region() for region in self.include),
            exclude=tuple(region.region() for region in self.exclude),
        )


class DetectRequest(TextFields, ImageRequest):
    """`/detect-text`: an image, and which lines count."""


class RemoveTextRequest(TextFields, Parameters):
    """`/remove-text`: an image; the regions are found."""

    mask_mode: Literal["box", "strokes", "auto"] | None = Field(
        "auto", description="What of a line is replaced; auto: its letters where they are found with confidence."
    )
    model: str | None = Field(
        "auto",
        max_length=200,
        description="Engine; one of those that `/info` names. auto: for each line, what did best beside it.",
    )


class RemoveTextTaskRequest(TaskFields, RemoveTextRequest):
    """As `RemoveTextRequest`, answered at once and worked on later."""


class BatchItem(Parameters):
    """One image of a batch, with `regions` or with a `mask`."""

    mask: str | None = Field(None, description="Base64 of a mask of the image's size; white = remove.")
    regions: list[RegionModel] | None = Field(
        None, min_length=1, description="Rectangles and polygons to remove, pixels."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.mask is None) == (self.regions is None):
            raise ValueError("either regions or mask is expected")
        return self

    def regions_of_job(self) -> tuple[Region, ...] | None:
        return None if self.regions is None else tuple(region.region() for region in self.regions)


class BatchHead(BaseModel):
    """What a batch has besides its items."""

    model_config = ConfigDict(extra="ignore")

    batch_id: str | None = Field(
        None, pattern=BATCH_ID, description="Chosen by the client: letters, digits, `.`, `_`, `-`."
    )
    callback_url: str | None = Field(
        None, max_length=2048, description="Where the end of the batch is POSTed: figures, no pictures."
    )
    priority: int = Field(0, ge=-100, le=100, description="Among your own waiting tasks, higher goes first.")


class BatchRequest(BatchHead):
    """Many images in one call; all of them are accepted, or none."""

    items: list[BatchItem] = Field(min_length=1, description="The images.")
