"""The three synchronous calls and the asynchronous one."""

import asyncio
import uuid
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from deployments.tasks import TaskInput, TaskSubmission
from deployments.tracing import traceparent
from ingress import intake, links, presenters
from ingress.config import AppConfig
from ingress.intake import Intake
from ingress.openapi import ERRORS, body
from ingress.own_tasks import visible
from ingress.schemas import responses as wire
from ingress.schemas.requests import AsyncRequest, MaskRequest, RegionsRequest, TaskFields
from ingress.services import Services
from models.job import JobResult

_BINARY = {"schema": {"type": "string", "format": "binary"}}
IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture",
        "content": {"image/png": _BINARY, "image/jpeg": _BINARY, "image/webp": _BINARY},
    }
}


def image_response(result: JobResult, with_regions: bool) -> Response:
    headers = presenters.image_headers(result.stats, with_regions)
    return Response(result.data, media_type=result.stats.media_type, headers=headers)


async def submit(
    request: Request, read: Intake[Any], sent: TaskFields, services: Services, config: AppConfig
) -> JSONResponse:
    """Accept the task that was read. Regions that are to be found are not counted yet."""
    if sent.callback_url:
        await services.check_callback(sent.callback_url)
    submission = TaskSubmission(
        task_id=sent.task_id or str(uuid.uuid4()),
        total_regions=len(read.job.regions or ()),
        traceparent=traceparent(),
        content_sha256=await asyncio.to_thread(read.content_sha256),
        callback_url=sent.callback_url,
        enable_progress=sent.enable_progress,
        progress_interval_s=sent.progress_interval,
        client=links.client_name(request),
        priority=sent.priority,
        model=read.job.model,
    )
    # Asked before: once the task is accepted nothing may keep its id from the client.
    counts = await visible(services.tasks, request).counts()
    snapshot, new = await visible(services.tasks, request).submit(
        submission, TaskInput(read.job, read.image, read.mask)
    )
    url = links.websocket_url(request, config.public_url, snapshot.task_id)
    answer = presenters.accepted(snapshot, counts.estimated_wait_s, url)
    return JSONResponse(answer.model_dump(), 202 if new else 200)


def build(services: Services, config: AppConfig) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["inpainting"], responses=ERRORS)

    async def run(request: Request, schema: type[MaskRequest] | type[RegionsRequest]) -> JobResult:
        read = await intake.read(request, schema, config)
        return await services.inpainter.inpaint(read.job, read.image, read.mask, request.state.request_id)

    @router.post(
        "/inpaint", summary="Remove what a mask marks", response_class=Response, responses=IMAGE,
        openapi_extra=body(MaskRequest),
    )  # fmt: skip
    async def inpaint(request: Request) -> Response:
        return image_response(await run(request, MaskRequest), with_regions=False)

    @router.post(
        "/inpaint-regions", summary="Remove what regions mark", response_class=Response, responses=IMAGE,
        openapi_extra=body(RegionsRequest),
    )  # fmt: skip
    async def inpaint_regions(request: Request) -> Response:
        return image_response(await run(request, RegionsRequest), with_regions=True)

    @router.post("/inpaint-regions-json", summary="The same, figures only", openapi_extra=body(RegionsRequest))
    async def inpaint_regions_json(request: Request) -> wire.JsonBody:
        return presenters.stats_json((await run(request, RegionsRequest)).stats)

    @router.post(
        "/inpaint-regions-async", summary="The same, later", status_code=202, openapi_extra=body(AsyncRequest),
        response_model=wire.AcceptedBody,
        responses={200: {"model": wire.AcceptedBody, "description": "This task was accepted before"}},
    )  # fmt: skip
    async def inpaint_regions_async(request: Request) -> JSONResponse:
        read = await intake.read(request, AsyncRequest, config)
        return await submit(request, read, read.request, services, config)

    return router
