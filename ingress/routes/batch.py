"""Batches: many images in one call, followed, cancelled and fetched together."""

import re
import uuid
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse

from deployments.errors import BatchNotFound, BatchNotReady
from deployments.tasks import BatchSnapshot, BatchSubmission, TaskInput, TaskSubmission
from deployments.tracing import traceparent
from ingress import batch_intake, links, presenters
from ingress.batch_zip import BatchZip
from ingress.config import AppConfig
from ingress.openapi import ERRORS, batch_body
from ingress.own_tasks import visible
from ingress.schemas import responses as wire
from ingress.schemas.requests import BATCH_ID
from ingress.services import Services, TaskService


def build(services: Services, config: AppConfig) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["batches"], responses=ERRORS)

    @router.post(
        "/inpaint-batch", summary="Many images, later", status_code=202, openapi_extra=batch_body(),
        response_model=wire.BatchAcceptedBody,
        responses={200: {"model": wire.BatchAcceptedBody, "description": "This batch was accepted before"}},
    )  # fmt: skip
    async def inpaint_batch(request: Request) -> JSONResponse:
        read = await batch_intake.read(request, config)
        if read.head.callback_url:
            await services.check_callback(read.head.callback_url)
        batch_id = read.head.batch_id or str(uuid.uuid4())
        client = links.client_name(request)
        items = _items(read, batch_id, client)
        ids = tuple(submission.task_id for submission, _ in items)
        batch = BatchSubmission(batch_id, ids, read.content_sha256(), read.head.callback_url, client)
        snapshot, new = await visible(services.tasks, request).submit_batch(batch, items)
        answer = presenters.batch_accepted(snapshot, links.websocket_url(request, config.public_url, None))
        return JSONResponse(answer.model_dump(), 202 if new else 200)

    @router.get("/batch-status/{batch_id}", summary="State of a batch and of each of its tasks")
    async def batch_status(request: Request, batch_id: str) -> wire.BatchBody:
        snapshot = await visible(services.tasks, request).batch(checked(batch_id))
        return presenters.batch(snapshot, links.base_url(request, config.public_url))

    @router.post("/cancel-batch/{batch_id}", summary="Cancel what has not ended of a batch")
    async def cancel_batch(request: Request, batch_id: str) -> wire.BatchBody:
        snapshot = await visible(services.tasks, request).cancel_batch(checked(batch_id))
        return presenters.batch(snapshot, links.base_url(request, config.public_url))

    @router.get(
        "/batch-result/{batch_id}", summary="The pictures of a batch as a zip", response_class=StreamingResponse,
        responses={200: {"description": "Pictures and `report.json`", "content": {"application/zip": {}}}},
    )  # fmt: skip
    async def batch_result(request: Request, batch_id: str) -> StreamingResponse:
        snapshot = await visible(services.tasks, request).batch(checked(batch_id))
        _check_ready(snapshot)
        report = presenters.batch(snapshot, links.base_url(request, config.public_url))
        name = f'attachment; filename="{batch_id}.zip"'
        return StreamingResponse(
            _zip(visible(services.tasks, request), snapshot, report),
            media_type="application/zip",
            headers={"Content-Disposition": name},
        )

    return router


async def _zip(tasks: TaskService, snapshot: BatchSnapshot, report: wire.BatchBody) -> AsyncIterator[bytes]:
    """No more than a piece of a picture in memory."""
    archive = BatchZip()
    async for task, result in tasks.batch_results(snapshot):
        if result is not None:
            # Its place among those submitted, of which some may be deleted.
            number = task.task_id.removeprefix(f"{snapshot.batch_id}.")
            suffix = presenters.suffix(result.stats.media_type)
            async for piece in archive.add(f"{number}_{task.task_id}.{suffix}", result.pieces):
                yield piece
    yield archive.finish("report.json", report.model_dump_json(indent=2).encode())


def _check_ready(snapshot: BatchSnapshot) -> None:
    left = sum(not task.status.is_terminal for task in snapshot.tasks)
    if left:
        raise BatchNotReady(f"{left} of {len(snapshot.tasks)} tasks of batch {snapshot.batch_id} have not ended yet.")


def checked(batch_id: str) -> str:
    """An id outside the alphabet names no batch; it never reaches a path."""
    if not re.fullmatch(BATCH_ID, batch_id):
        raise BatchNotFound(f"There is no batch {batch_id[:128]!r}.")
    return batch_id


def _items(read: batch_intake.BatchIntake, batch_id: str, client: str) -> list[tuple[TaskSubmission, TaskInput]]:
    return [
        (
            TaskSubmission(
                task_id=f"{batch_id}.{number}",
                total_regions=len(item.job.regions or ()) or 1,
                traceparent=traceparent(),
                content_sha256=digest,
                client=client,
                priority=read.head.priority,
                batch_id=batch_id,
                model=item.job.model,
            ),
            given,
        )
        for number, (item, given, digest) in enumerate(zip(read.items, read.inputs(), read.digests, strict=True))
    ]
