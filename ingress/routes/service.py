"""Core: what the service is and how it feels."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from ingress import presenters
from ingress.config import AppConfig
from ingress.schemas import responses as wire
from ingress.services import Services


def build(services: Services, config: AppConfig) -> APIRouter:
    router = APIRouter(tags=["core"])

    @router.get("/", summary="What this is")
    async def root() -> wire.RootBody:
        return presenters.root(config)

    @router.get(
        "/api/v1/health",
        summary="Is it able to work?",
        responses={503: {"model": wire.HealthBody, "description": "Starting or unhealthy"}},
    )
    async def health(request: Request, response: Response) -> wire.HealthBody | wire.HealthBasicsBody:
        state = await services.tasks.state()
        response.status_code = 200 if state.status == "healthy" else 503
        anonymous = bool(config.api_keys) and "client" not in request.scope.get("state", {})
        return presenters.health_basics(state) if anonymous else presenters.health(state)

    @router.get("/api/v1/model", summary="The model in use")
    async def model() -> wire.ModelBody:
        return presenters.model(await services.tasks.state(), config)

    @router.get("/api/v1/info", summary="Capabilities and limits")
    async def info() -> wire.InfoBody:
        return presenters.info(await services.tasks.state(), config)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse, include_in_schema=False)
    async def metrics() -> Response:
        return Response(await services.metrics(), media_type="text/plain; version=0.0.4")

    return router
