"""What the HTTP edge is told: the settings that it needs, frozen."""

from dataclasses import dataclass, field
from typing import Self

from ingress.settings import Settings
from models.codec import SUPPORTED_FORMATS
from models.job import HDStrategy, MaskMode
from models.registry import AUTO, WEIGHTLESS

NAME = "IOPaint text removal service"
VERSION = "1.0.0"
_OVERHEAD_BYTES = 1_048_576
"""Of a body, besides its files."""


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
    max_polygon_points: int
    max_queued_tasks: int
    max_tasks_per_client: int
    requests_per_minute: int
    max_inflight_bytes: int
    max_websockets_per_client: int
    upload_idle_timeout_s: float
    default_mask_mode: MaskMode
    playground: bool = True
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    max_subscriptions: int = 1000
    """Of one WebSocket."""
    max_message_chars: int = 65_536
    """Of one WebSocket message."""
    max_json_depth: int = 32
    websocket_idle_s: float = 3600.0
    supported_formats: tuple[str, ...] = SUPPORTED_FORMATS

    @property
    def max_body_bytes(self) -> int:
        """Two files at most, as base64: four bytes for three."""
        return 2 * self.max_file_size * 4 // 3 + _OVERHEAD_BYTES

    @property
    def max_batch_body_bytes(self) -> int:
        return self.max_batch_bytes * 4 // 3 + _OVERHEAD_BYTES

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        offered = settings.iopaint_models or (
            settings.iopaint_model, settings.iopaint_fallback_model, AUTO, *WEIGHTLESS
        )  # fmt: skip
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
            default_mask_mode=MaskMode(settings.default_mask_mode),
            public_url=settings.public_url.rstrip("/"),
            playground=settings.playground == "on",
            max_polygon_points=settings.max_polygon_points,
            max_queued_tasks=settings.max_queued_tasks,
            max_tasks_per_client=settings.max_tasks_per_client,
            requests_per_minute=settings.requests_per_minute,
            max_inflight_bytes=settings.max_inflight_bytes,
            max_websockets_per_client=settings.max_websockets_per_client,
            upload_idle_timeout_s=settings.upload_idle_timeout,
            api_keys=settings.all_api_keys(),
        )
