"""Tasks: status, cancelling, figures, results."""

import re

from fastapi import APIRouter, Request, Response

from deployments.errors import TaskNotFound
from ingress import links, presenters
from ingress.config import AppConfig
from ingress.openapi import ERRORS
from ingress.routes.inpaint import IMAGE, image_response
from ingress.schemas import responses as wire
from ingress.schemas.requests import TASK_ID
from ingress.services import Services


def build(services: Services, config: AppConfig) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["tasks"], responses=ERRORS)

    @router.get("/task-status/{task_id}", summary="State and progress of a task")
    async def task_status(request: Request, task_id: str) -> wire.TaskBody:
        snapshot = await services.tasks.get(checked(task_id))
        return presenters.task(snapshot, links.base_url(request, config.public_url))

    @router.post("/cancel-task/{task_id}", summary="Cancel a task")
    async def cancel_task(task_id: str) -> wire.CancelBody:
        return presenters.cancelled(await services.tasks.cancel(checked(task_id)))

    @router.delete("/tasks/{task_id}", summary="Forget an ended task and its files")
    async def delete_task(task_id: str) -> wire.DeletedBody:
        await services.tasks.delete(checked(task_id))
        return presenters.deleted(task_id)

    @router.get("/tasks/{task_id}/stats", summary="Where a task's time went")
    async def task_stats(task_id: str) -> wire.TaskStatsBody:
        return presenters.task_stats(await services.tasks.get(checked(task_id)))

    @router.get("/tasks/{task_id}/deliveries", summary="Attempts at a task's callback")
    async def deliveries(task_id: str) -> wire.DeliveriesBody:
        return presenters.deliveries(task_id, await services.tasks.deliveries(checked(task_id)))

    @router.post("/tasks/{task_id}/deliveries", summary="Send a task's callback once more", status_code=202)
    async def redeliver(task_id: str) -> wire.DeliveriesBody:
        return presenters.deliveries(task_id, await services.tasks.redeliver(checked(task_id)))

    @router.get("/tasks", summary="Figures of all tasks")
    async def tasks() -> wire.TasksBody:
        return presenters.tasks(await services.tasks.counts())

    @router.get(
        "/task-result/{task_id}", summary="The picture of a completed task", response_class=Response,
        responses=IMAGE,
    )  # fmt: skip
    async def task_result(task_id: str) -> Response:
        return image_response(await services.tasks.result(checked(task_id)), with_regions=True)

    return router


def checked(task_id: str) -> str:
    """An id outside the alphabet names no task; it never reaches a path."""
    if not re.match(TASK_ID, task_id):
        raise TaskNotFound(f"There is no task {task_id[:128]!r}.")
    return task_id
