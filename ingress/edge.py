"""What runs in Serve's HTTP proxy, before anything else of ours: ``guard``, named by
``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`` (a door that Serve keeps for middleware; scripts/serve, the image and the
manifests set it). The proxy reads bodies and queues calls before the application sees either, so what has to cost
nothing under overload, and what concerns connections, is decided here.
"""

import json
import logging
import math
import re
import resource
import time
import uuid
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from uvicorn.protocols.http import auto

from deployments.metrics import Metrics, NoMetrics, RayMetrics
from ingress import trunk
from ingress.connections import ConnectionLimits, GuardedProtocol
from ingress.places import Place, Places
from ingress.settings import Settings
from ingress.trunk import Trunks
from ingress.window import HEADER, Reader

log = logging.getLogger("ray.serve")

_STEERING = frozenset(
    {
        b"x_request_timeout_seconds",
        b"x_request_disconnect_disabled",
        b"serve_multiplexed_model_id",
        b"x_session_id",
        b"x_iopaint_window",
    }
)
"""By which Serve lets a client lift its own timeout, go on after it left, choose replicas; and our own word to the
application. ``-`` counts as ``_``."""
_SOCKETS = "/api/v1/ws/"
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_RESERVED_FILES = 256
"""Of the process, for other things than clients' connections."""
_RETRY_AFTER_S = 2
_BODY_OF_OTHERS = 65_536
"""Bytes, of calls that bring no work: none of them needs a body."""
_TOO_SLOW = (408, "upload_timeout", "The body came too slowly while others were waiting.")
_LOG_EVERY_S = 10.0
_OWN_ERRORS = {
    408: (504, "request_timeout", "The call took too long."),
    404: (503, "service_unavailable", "The service is starting or stopping. Try again in a moment."),
    429: (429, "queue_full", "Too many calls are waiting. Try again in a moment."),
    503: (503, "service_unavailable", "No replica is free. Try again in a moment."),
}
"""Serve's answers, in the one shape that errors have. What else it says is a 500."""
_NO_APPLICATION = b"/-/routes"
"""In Serve's 404 while it knows no application."""
Headers = list[tuple[bytes, bytes]]
_BUG = (500, "internal_error", "An internal error occurred. The request id ties it to the logs.")


def guard() -> list[Middleware]:
    """Called once in each proxy, before it listens."""
    settings = Settings.model_validate({})
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = max(64, files - _RESERVED_FILES)
    limits = ConnectionLimits(settings.upload_idle_timeout, most, most * 3 // 4)
    auto.AutoHTTPProtocol = type("Guarded", (GuardedProtocol,), {"limits": limits})
    most_calls, origins = settings.max_concurrent_calls, settings.cors_origins
    return [Middleware(Edge, max_calls=most_calls, origins=origins, metrics=RayMetrics())]


class Edge:
    """Plain ASGI: drops headers that steer Serve, refuses calls beyond ``max_calls`` before their bodies are read, and
    gives Serve's own errors the shape of ours, without what they say of the inside."""

    def __init__(
        self, app: ASGIApp, max_calls: int, origins: tuple[str, ...] = ("*",), metrics: Metrics | None = None
    ) -> None:
        """``origins``: whose scripts may read what the guard says, as for the application's own answers."""
        self._app = app
        self._max_calls = max_calls
        self._origins = origins
        self._trunks = Trunks(app)
        self._calls, self._downloads = Places(max_calls), Places(max_calls)
        self._refused, self._logged_at = 0, 0.0
        self._metrics = metrics or NoMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = _clean(scope)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["path"].startswith("/-/"):
            await self._app(scope, receive, send)
            return
        scope["headers"].append(HEADER)
        answer = _Answer(send, request_id, _cors(scope, self._origins))
        call = _Call(receive, answer, math.inf if _is_work(scope) else _BODY_OF_OTHERS, self._metrics)
        places = self._calls if _is_work(scope) else self._downloads if _is_download(scope) else None
        if places is None:
            await call.run(self._app, scope)
        elif not places.take(call.place):
            self._note_refusal()
            await answer.error(503, "service_unavailable", "Too many calls are in progress. Try again in a moment.")
        else:
            try:
                await call.run(self._app, scope)
            finally:
                places.give_back(call.place)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == trunk.PATH:  # the guard's own; no client has business there
            await receive()
            await WebSocketClose()(scope, receive, send)
        elif path.startswith(_SOCKETS):
            await self._trunks.carry(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _note_refusal(self) -> None:
        """Under overload a line for each would be a load itself."""
        self._metrics.count("iopaint_calls_refused", reason="service_unavailable")
        self._refused += 1
        if time.monotonic() - self._logged_at > _LOG_EVERY_S:
            log.warning(f"{self._refused} calls refused: {self._max_calls} are in progress (MAX_CONCURRENT_CALLS)")
            self._refused, self._logged_at = 0, time.monotonic()


class _Call:
    """One, with a place. It may be ended from outside: the application hears that the client left, the client why."""

    def __init__(self, receive: Receive, answer: "_Answer", most_bytes: float, metrics: Metrics) -> None:
        self.place = Place(lambda: self._end(*_TOO_SLOW))
        self._reader = Reader(receive, self._came)
        self._answer = answer
        self._metrics = metrics
        self._most_bytes = most_bytes
        self._bytes = 0
        self._why: tuple[int, str, str] | None = None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._reader.receive, self._send)
        finally:
            if self._why is not None and not self._answer.has_begun:
                await self._answer.error(*self._why)

    def _came(self, size: int, more: bool) -> bool:
        self._bytes += size
        self.place.moved(size)
        if not more:
            self.place.works(True)
        if self._bytes > self._most_bytes:
            self._end(413, "body_too_large", f"The request body is too large: {self._most_bytes} bytes are allowed.")
        return self._why is None

    async def _send(self, message: Message) -> None:
        if self._why is not None:  # what Serve says of a client that left
            return
        if message["type"] == "http.response.start":
            self.place.works(False)
        await self._answer.send(message)
        self._reader.sent(message)
        self.place.moved(len(message.get("body", b"")))

    def _end(self, *why: Any) -> None:
        if self._why is None:
            self._metrics.count("iopaint_calls_refused", reason=why[1])
        self._why = why
        self._reader.end()


class _Answer:
    has_begun = False

    def __init__(self, send: Send, request_id: bytes, cors: Headers) -> None:
        self._send = send
        self._cors = cors
        self._request_id = request_id
        self._held: Message | None = None
        self._replaced = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _may_be_serves(message):
            self._held = message
        elif self._held is not None:
            start, self._held = self._held, None
            status: int = start["status"]
            if status == 404 and _NO_APPLICATION not in message.get("body", b""):
                self.has_begun = True
                await self._send(start)
                await self._send(message)
            else:
                self._replaced = True
                await self.error(*_OWN_ERRORS.get(status, _BUG))
        elif not self._replaced:
            self.has_begun = True
            await self._send(message)

    async def error(self, status: int, code: str, detail: str) -> None:
        self.has_begun = True
        body = json.dumps({"detail": detail, "error": code, "request_id": self._request_id.decode()}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", self._request_id),
            *self._cors,
        ]
        if status in (429, 503):
            headers.append((b"retry-after", str(_RETRY_AFTER_S).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _cors(scope: Scope, origins: tuple[str, ...]) -> Headers:
    exposed = (b"access-control-expose-headers", b"Retry-After, X-Request-ID")
    if "*" in origins:
        return [(b"access-control-allow-origin", b"*"), exposed]
    origin = next((value for name, value in scope["headers"] if name.lower() == b"origin"), b"")
    if origin.decode("latin-1") not in origins:
        return [(b"vary", b"Origin")]
    allowed = [(b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true")]
    return [*allowed, exposed, (b"vary", b"Origin")]


def _may_be_serves(start: Message) -> bool:
    """The application's own errors are JSON, but for what its framework says of static files."""
    status: int = start["status"]
    kind = next((value for name, value in start.get("headers", []) if name.lower() == b"content-type"), b"")
    return (status in _OWN_ERRORS or status >= 500) and not kind.startswith(b"application/json")


def _clean(scope: Scope) -> bytes:
    """Takes out what steers Serve; gives the request id, which is the client's where it is a sane one."""
    kept, request_id = [], b""
    for name, value in scope["headers"]:
        if name.lower().replace(b"-", b"_") in _STEERING:
            continue
        if name.lower() == b"x-request-id":
            request_id = value if _SAFE_ID.fullmatch(value) else b""
        else:
            kept.append((name, value))
    request_id = request_id or uuid.uuid4().hex.encode()
    scope["headers"] = [*kept, (b"x-request-id", request_id)]
    return request_id


def _is_download(scope: Scope) -> bool:
    return scope["method"] == "GET" and "-result/" in scope["path"]


def _is_work(scope: Scope) -> bool:
    return scope["method"] == "POST" and "/cancel-" not in scope["path"]
