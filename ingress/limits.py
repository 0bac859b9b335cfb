"""Plain ASGI middleware: request ids, and a cap on the body that counts what really arrives."""

import re
import uuid
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingress.errors import STATUS, BodyTooLarge, respond

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestId:
    """Takes a sane ``X-Request-ID`` over or makes one; puts it into the scope and, with ``echo``, on every answer.

    Serve's proxy makes the id and echoes it itself; without a proxy the application does.
    """

    def __init__(self, app: ASGIApp, echo: bool) -> None:
        self._app = app
        self._echo = echo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = sent if _SAFE_ID.fullmatch(sent) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start" and self._echo:
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


class BodyLimit:
    """413 as soon as more bytes than allowed were announced or arrived, whatever the length header says."""

    def __init__(self, app: ASGIApp, max_bytes: int, batch_max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._batch_max_bytes = batch_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        max_bytes = self._batch_max_bytes if scope["path"].endswith("/inpaint-batch") else self._max_bytes
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > max_bytes:
            await self._refuse(max_bytes, scope, receive, send)
            return
        seen = 0

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > max_bytes:
                raise BodyTooLarge(_sentence(max_bytes))
            return message

        await self._app(scope, counted, send)

    async def _refuse(self, max_bytes: int, scope: Scope, receive: Receive, send: Send) -> None:
        response = respond(
            Request(scope), STATUS[BodyTooLarge.code], BodyTooLarge.code, _sentence(max_bytes), {"Connection": "close"}
        )
        await response(scope, receive, send)


def _sentence(max_bytes: int) -> str:
    return f"The request body is too large: at most {max_bytes} bytes are allowed."
