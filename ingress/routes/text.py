"""Text by itself: what is found, and removing it without naming regions."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ingress import intake, presenters
from ingress.config import AppConfig
from ingress.openapi import ERRORS, body
from ingress.routes.inpaint import IMAGE, image_response, submit
from ingress.schemas import responses as wire
from ingress.schemas.requests import DetectRequest, RemoveTextRequest, RemoveTextTaskRequest
from ingress.services import Services
from models.job import FindText


def build(services: Services, config: AppConfig) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["text"], responses=ERRORS)

    @router.post("/detect-text", summary="Find lines of text", openapi_extra=body(DetectRequest))
    async def detect_text(request: Request) -> wire.LinesBody:
        read = await intake.read(request, DetectRequest, config)
        return presenters.lines(await services.finder.detect(read.image, read.job.find_text or FindText()))

    @router.post(
        "/remove-text", summary="Find text and remove it", response_class=Response, responses=IMAGE,
        openapi_extra=body(RemoveTextRequest),
    )  # fmt: skip
    async def remove_text(request: Request) -> Response:
        read = await intake.read(request, RemoveTextRequest, config)
        result = await services.inpainter.inpaint(read.job, read.image, None, request.state.request_id)
        return image_response(result, with_regions=True)

    @router.post(
        "/remove-text-async", summary="The same, later", status_code=202, openapi_extra=body(RemoveTextTaskRequest),
        response_model=wire.AcceptedBody,
        responses={200: {"model": wire.AcceptedBody, "description": "This task was accepted before"}},
    )  # fmt: skip
    async def remove_text_async(request: Request) -> JSONResponse:
        read = await intake.read(request, RemoveTextTaskRequest, config)
        return await submit(request, read, read.request, services, config)

    return router
