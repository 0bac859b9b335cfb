"""The FastAPI application, testable without Ray."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from ingress import docs, errors, openapi, playground
from ingress.config import NAME, VERSION, AppConfig
from ingress.limits import BodyLimit, RateLimit, RequestId
from ingress.routes import batch, inpaint, progress, service, tasks, text
from ingress.security import KeyCheck, KeyRing
from ingress.services import Services
from ingress.trunk import TrunkEnd
from ingress.window import Window

_EXPOSED = [
    "X-Processing-Time", "X-Timestamp", "X-Model", "X-HD-Strategy", "X-Regions-Count", "X-Total-Area", "X-Notes",
    "X-Erased", "X-Seed", "X-Request-ID", "Retry-After", "Content-Disposition",
]  # fmt: skip
_DESCRIPTION = "Removes text (and anything else) from images: send an image and boxes, get the picture back."


def create_app(services: Services, config: AppConfig, echo_request_id: bool = True, guarded: bool = False) -> FastAPI:
    """``echo_request_id`` False: the proxy in front does it. ``guarded``: ``ingress.edge`` is in that proxy, and alone
    may bring trunks; a client that could would speak for others.
    """
    app = FastAPI(
        title=NAME,
        version=VERSION,
        description=_DESCRIPTION + (" Try it in the [playground](playground/)." if config.playground else ""),
        docs_url=None,
        redoc_url=None,
    )
    for module in (service, inpaint, text, tasks, batch, progress):
        app.include_router(module.build(services, config))
    docs.install(app)
    if config.playground:
        playground.install(app)
    openapi.install(app)
    errors.install(app)
    # The last added is the outermost: the request id must be there for every answer, also a refusal.
    app.add_middleware(BodyLimit, config=config)
    app.add_middleware(RateLimit, per_minute=config.requests_per_minute)
    app.add_middleware(KeyCheck, keys=KeyRing(config.api_keys))
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(config.cors_origins),
        allow_credentials="*" not in config.cors_origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=_EXPOSED,
    )
    app.add_middleware(RequestId, echo=echo_request_id)
    if guarded:
        app.add_middleware(Window)
        app.add_middleware(TrunkEnd)
    return app
