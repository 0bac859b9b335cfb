"""Errors become answers: one table from code to status, one shape for every body."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from models.errors import InvalidField, TextRemovalError

log = logging.getLogger("ray.serve")


class UnreadableBody(TextRemovalError):
    """Not JSON, not a form, or not base64."""

    code = "unreadable_body"


class UnsupportedContentType(TextRemovalError):
    """Neither `application/json` nor `multipart/form-data`."""

    code = "unsupported_content_type"


class BodyTooLarge(TextRemovalError):
    """More bytes than this call may have; `MAX_FILE_SIZE` and `MAX_BATCH_BYTES` are the bounds."""

    code = "body_too_large"


class UploadTooSlow(TextRemovalError):
    """No byte of an announced body came for a while."""

    code = "upload_timeout"


class TooManyRequests(TextRemovalError):
    """More calls than one client may send; ``details["retry_after_s"]`` says when to come again."""

    code = "rate_limited"


STATUS: dict[str, int] = {
    "unreadable_body": 400,
    "invalid_image": 400,
    "unauthorized": 401,
    "task_not_found": 404,
    "batch_not_found": 404,
    "upload_timeout": 408,
    "task_conflict": 409,
    "task_finished": 409,
    "task_running": 409,
    "result_not_ready": 409,
    "batch_not_ready": 409,
    "nothing_to_deliver": 409,
    "result_expired": 410,
    "image_too_large": 413,
    "body_too_large": 413,
    "unsupported_format": 415,
    "unsupported_content_type": 415,
    "invalid_field": 422,
    "unknown_model": 422,
    "queue_full": 429,
    "rate_limited": 429,
    "cancelled": 499,
    "internal_error": 500,
    "model_unavailable": 503,
    "detector_unavailable": 503,
    "memory_short": 503,
    "service_unavailable": 503,
    "archive_unavailable": 503,
    "request_timeout": 504,
}
_RETRY_AFTER_S = {429: 5.0, 503: 5.0}
_UNREAD_BODY = frozenset({408, 413})
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


def respond(
    request: Request, status: int, code: str, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    """The one error shape. ``detail`` is what the original's clients read."""
    request_id = request.scope.get("state", {}).get("request_id", "")
    body = {"detail": detail, "error": code, "request_id": request_id}
    return JSONResponse(body, status, headers)


def invalid_field(errors: Sequence[Any]) -> InvalidField:
    """The first of pydantic's errors as one sentence that names the field."""
    first = errors[0]
    name = ""
    for part in first["loc"]:
        if part in ("body", "query", "path", "rect", "polygon"):
            continue
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return InvalidField(f"{name or 'body'}: {first['msg']}.", field=name or "body")


def _allowed_methods(request: Request) -> list[str]:
    """Of all routes of the path: the framework tells those of the first only."""
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    for template, operations in request.app.openapi()["paths"].items():
        if compile_path(template)[0].match(path):
            return sorted(method.upper() for method in operations)
    return ["GET", "HEAD"]  # the documentation's own paths


def install(app: FastAPI) -> None:
    """Register the handlers."""

    async def known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TextRemovalError)
        status = STATUS[error.code]
        headers = {}
        if status in _RETRY_AFTER_S:
            headers["Retry-After"] = str(math.ceil(error.details.get("retry_after_s", _RETRY_AFTER_S[status])))
        if status in _UNREAD_BODY:
            headers["Connection"] = "close"  # or the rest of the body would still be taken in
        return respond(request, status, error.code, error.message, headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError | ValidationError)
        return await known(request, invalid_field(error.errors()))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _HTTP_CODES.get(error.status_code, "http_error")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed_methods(request))
        return respond(request, error.status_code, code, str(error.detail), headers)

    async def unknown(request: Request, error: Exception) -> JSONResponse:
        # A process border: the cause goes to the log, never to the client.
        log.error("unexpected error", exc_info=error, extra={"path": request.url.path})
        return respond(
            request, 500, "internal_error", "An internal error occurred. The request id ties it to the logs."
        )

    app.add_exception_handler(TextRemovalError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unknown)
