"""Tasks: status, cancelling, figures, results."""

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from deployments.errors import TaskNotFound
from ingress import links, presenters
from ingress.config import AppConfig
from ingress.openapi import ERRORS
from ingress.own_tasks import visible
from ingress.routes.inpaint import IMAGE
from ingress.schemas import responses as wire
from ingress.schemas.requests import TASK_ID
from ingress.services import Services


def build(services: Services, config: AppConfig) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["tasks"], responses=ERRORS)

    @router.get("/task-status/{task_id}", summary="State and progress of a task")
    async def task_status(request: Request, task_id: str) -> wire.TaskBody:
        snapshot = await visible(services.tasks, request).get(checked(task_id))
        return presenters.task(snapshot, links.base_url(request, config.public_url))

    @router.post("/cancel-task/{task_id}", summary="Cancel a task")
    async def cancel_task(request: Request, task_id: str) -> wire.CancelBody:
        return presenters.cancelled(await visible(services.tasks, request).cancel(checked(task_id)))

    @router.delete("/tasks/{task_id}", summary="Forget an ended task and its files")
    async def delete_task(request: Request, task_id: str) -> wire.DeletedBody:
        await visible(services.tasks, request).delete(checked(task_id))
        return presenters.deleted(task_id)

    @router.get("/tasks/{task_id}/stats", summary="Where a task's time went")
    async def task_stats(request: Request, task_id: str) -> wire.TaskStatsBody:
        return presenters.task_stats(await visible(services.tasks, request).get(checked(task_id)))

    @router.get("/tasks/{task_id}/deliveries", summary="Attempts at a task's callback")
    async def deliveries(request: Request, task_id: str) -> wire.DeliveriesBody:
        return presenters.deliveries(task_id, await visible(services.tasks, request).deliveries(checked(task_id)))

    @router.post("/tasks/{task_id}/deliveries", summary="Send a task's callback once more", status_code=202)
    async def redeliver(request: Request, task_id: str) -> wire.DeliveriesBody:
        return presenters.deliveries(task_id, await visible(services.tasks, request).redeliver(checked(task_id)))

    @router.get("/tasks", summary="Figures of all tasks")
    async def tasks(request: Request) -> wire.TasksBody:
        return presenters.tasks(await visible(services.tasks, request).counts())

    @router.get(
        "/task-result/{task_id}", summary="The picture of a completed task", response_class=Response,
        responses=IMAGE,
    )  # fmt: skip
    async def task_result(request: Request, task_id: str) -> Response:
        stored = await visible(services.tasks, request).result(checked(task_id))
        headers = presenters.image_headers(stored.stats, with_regions=True) | {"Content-Length": str(stored.size_bytes)}
        return StreamingResponse(stored.pieces, media_type=stored.stats.media_type, headers=headers)

    return router


def checked(task_id: str) -> str:
    """An id outside the alphabet names no task; it never reaches a path."""
    if not re.fullmatch(TASK_ID, task_id):  # `$` alone would let a line end through
        raise TaskNotFound(f"There is no task {task_id[:128]!r}.")
    return task_id
