"""The web page at `/playground`: plain files, with the JavaScript client beside them. No request leaves the service."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_ROOT = Path(__file__).parent.parent
_PATH = "/playground"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again each time, answered with 304 while nothing changed
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def install(app: FastAPI) -> None:
    @app.get(_PATH, include_in_schema=False)
    async def without_slash() -> RedirectResponse:
        # Relative, so that it holds behind a path prefix that nobody told the service of.
        return RedirectResponse("playground/")

    app.mount(f"{_PATH}/client", _Files(directory=_ROOT / "clients" / "js" / "src"), name="playground-client")
    app.mount(_PATH, _Files(directory=_ROOT / "playground", html=True), name="playground")
