"""What the HTTP edge is told: the settings that it needs, frozen."""

from dataclasses import dataclass
from typing import Self

from ingress.settings import Settings
from models.codec import SUPPORTED_FORMATS
from models.job import HDStrategy
from models.registry import WEIGHTLESS

NAME = "IOPaint text removal service"
VERSION = "1.0.0"


@dataclass(frozen=True, slots=True)
class AppConfig:
    """Sizes in bytes or pixels, times in seconds."""

    model: str
    device: str
    models: tuple[str, ...]
    max_image_size: int
    max_pixels: int
    max_file_size: int
    max_regions: int
    max_batch_items: int
    max_batch_bytes: int
    request_timeout_s: float
    cors_origins: tuple[str, ...]
    hd_strategy: HDStrategy | None
    public_url: str
    playground: bool = True
    supported_formats: tuple[str, ...] = SUPPORTED_FORMATS

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        offered = settings.iopaint_models or (settings.iopaint_model, settings.iopaint_fallback_model, *WEIGHTLESS)
        return cls(
            model=settings.iopaint_model,
            device=settings.iopaint_device,
            models=tuple(dict.fromkeys(name for name in offered if name)),
            max_image_size=settings.max_image_size,
            max_pixels=settings.max_pixels,
            max_file_size=settings.max_file_size,
            max_regions=settings.max_regions,
            max_batch_items=settings.max_batch_items,
            max_batch_bytes=settings.max_batch_bytes,
            request_timeout_s=settings.request_timeout,
            cors_origins=settings.cors_origins,
            hd_strategy=HDStrategy(settings.hd_strategy) if settings.hd_strategy else None,
            public_url=settings.public_url.rstrip("/"),
            playground=settings.playground == "on",
        )
