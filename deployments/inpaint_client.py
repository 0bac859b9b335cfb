"""``InpaintService`` for the ingress: one synchronous job through the Inpainter's handle."""

import asyncio
import logging
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from deployments.errors import DeadlineExceeded, ServiceUnavailable
from deployments.model_routing import route
from models.errors import TextRemovalError
from models.job import InpaintJob, JobResult

log = logging.getLogger("ray.serve")


class InpaintClient:
    def __init__(self, handle: DeploymentHandle[Any], timeout_s: float) -> None:
        self._handle = handle
        self._timeout_s = timeout_s

    async def inpaint(self, job: InpaintJob, image: bytes, mask: bytes | None, request_id: str) -> JobResult:
        """See ``ingress.services.InpaintService``. A call whose replica dies is repeated once elsewhere."""
        try:
            async with asyncio.timeout(self._timeout_s):
                for attempt in (1, 2):
                    try:
                        return await self._once(job, image, mask)
                    except RayActorError:
                        log.warning("replica lost", extra={"request_id": request_id, "attempt": attempt})
        except TimeoutError:
            raise DeadlineExceeded(
                f"The work took longer than {self._timeout_s:g} seconds and was stopped. "
                "Send a smaller picture, or use the asynchronous call."
            ) from None
        raise ServiceUnavailable("The model replica was lost twice. Try again in a moment.", retry_after_s=5)

    async def _once(self, job: InpaintJob, image: bytes, mask: bytes | None) -> JobResult:
        response = route(self._handle, job.model).inpaint.remote(job, image, mask)
        done = False
        try:
            result: JobResult = await response
            done = True
            return result
        except RayTaskError as error:
            done = True
            if isinstance(error.cause, TextRemovalError):
                raise error.cause from None
            raise
        except (BackPressureError, DeploymentUnavailableError):
            raise ServiceUnavailable("All model replicas are busy. Try again in a moment.", retry_after_s=2) from None
        finally:
            if not done:  # the client is gone, or the deadline passed: stop the work
                response.cancel()  # type: ignore[no-untyped-call]
