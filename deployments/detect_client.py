"""Text lines through the Detector's handle: for the ingress, and for the Inpainter's tasks."""

import asyncio
import logging
from typing import Any, Protocol

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from deployments.errors import DeadlineExceeded, ServiceUnavailable
from models.detect import TextLine
from models.errors import TextRemovalError
from models.job import FindText

log = logging.getLogger("ray.serve")

_TRIES = 3


class LineFinder(Protocol):
    async def detect(self, image: bytes, find: FindText) -> tuple[TextLine, ...]:
        """The lines of text in an image file that ``find`` lets through, in reading order.

        Cancelling the coroutine stops the work. Raises any ``TextRemovalError``.
        """
        ...


class DetectClient:
    """``timeout_s`` None: the caller has a deadline of its own, or none."""

    def __init__(self, handle: DeploymentHandle[Any], timeout_s: float | None) -> None:
        self._handle = handle
        self._timeout_s = timeout_s

    async def detect(self, image: bytes, find: FindText) -> tuple[TextLine, ...]:
        """See ``LineFinder``. A call whose replica dies is repeated elsewhere, twice."""
        try:
            async with asyncio.timeout(self._timeout_s):
                for attempt in range(1, _TRIES + 1):
                    try:
                        return await self._once(image, find)
                    except RayActorError:
                        log.warning("detector replica lost", extra={"attempt": attempt})
        except TimeoutError:
            raise DeadlineExceeded(
                f"Looking for text took longer than {self._timeout_s:g} seconds and was stopped. "
                "Send a smaller picture."
            ) from None
        raise ServiceUnavailable("The replica that finds text was lost. Try again in a moment.", retry_after_s=5)

    async def _once(self, image: bytes, find: FindText) -> tuple[TextLine, ...]:
        response = self._handle.detect.remote(image, find)
        done = False
        try:
            lines: tuple[TextLine, ...] = await response
            done = True
            return lines
        except RayTaskError as error:
            done = True
            if isinstance(error.cause, TextRemovalError):
                raise error.cause from None
            raise
        except (BackPressureError, DeploymentUnavailableError):
            raise ServiceUnavailable("All replicas that find text are busy. Try again.", retry_after_s=2) from None
        finally:
            if not done:  # nobody waits any more: stop the work
                response.cancel()  # type: ignore[no-untyped-call]
