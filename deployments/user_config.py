"""Serve's ``user_config``: what can be changed in a running service, with ``serve deploy``, without a restart."""

import logging
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class UserConfig(BaseModel):
    """Absent means: as the service was started. An unknown key or a wrong value makes the deployment unhealthy, with
    this model's message, and leaves the service as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None = None


class InpainterUserConfig(UserConfig):
    max_pixels: int | None = Field(None, ge=1)
    """Pixels of an image. What is more than MAX_PIXELS is refused before it comes here, so this can only lower it."""
    max_batch: int | None = Field(None, ge=1)
    """Windows of several requests in one pass, at most, where the engine runs such; as IOPAINT_MAX_BATCH."""


class LogLevel:
    """The level of the service's logger in this process; a level taken away again brings the first one back."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("ray.serve")
        self._first = self._logger.level

    def apply(self, options: UserConfig) -> None:
        self._logger.setLevel(options.log_level or self._first)
