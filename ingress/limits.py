"""Plain ASGI middleware: request ids, bodies that are counted as they arrive, calls a minute."""

import asyncio
import math
import re
import time
import uuid
from collections import OrderedDict

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.errors import ServiceUnavailable
from ingress.config import AppConfig
from ingress.errors import STATUS, BodyTooLarge, TooManyRequests, UploadTooSlow, respond
from ingress.links import client_name

_MOST_CLIENTS = 10_000
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
    """Counts what really arrives: 413 beyond a body's limit, 503 beyond what this replica may hold of all bodies, 408
    when nothing comes for a while or the whole takes longer than a call may. What length headers say saves work only.
    """

    def __init__(self, app: ASGIApp, config: AppConfig) -> None:
        self._app = app
        self._config = config
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        batch = scope["path"].endswith("/inpaint-batch")
        max_bytes = self._config.max_batch_body_bytes if batch else self._config.max_body_bytes
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > max_bytes:
            await self._refuse(max_bytes, scope, receive, send)
            return
        body = _Body(self, receive, max_bytes)
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._held_bytes -= body.seen

    async def _refuse(self, max_bytes: int, scope: Scope, receive: Receive, send: Send) -> None:
        response = respond(
            Request(scope), STATUS[BodyTooLarge.code], BodyTooLarge.code, _sentence(max_bytes), {"Connection": "close"}
        )
        await response(scope, receive, send)

    async def next_message(self, receive: Receive, deadline: float) -> Message:
        """Raises ``UploadTooSlow``."""
        idle_s = self._config.upload_idle_timeout_s
        try:
            async with asyncio.timeout(max(0.0, min(idle_s, deadline - time.monotonic()))):
                return await receive()
        except TimeoutError:
            raise UploadTooSlow(
                f"The body came too slowly: a pause of {idle_s:g} s, or "
                f"{self._config.request_timeout_s:g} s for the whole, are the most that is allowed."
            ) from None

    def deadline(self) -> float:
        return time.monotonic() + self._config.request_timeout_s

    def hold(self, more: int, own: int) -> None:
        """Raises ``ServiceUnavailable``; a body that is alone is always let in."""
        self._held_bytes += more
        if self._held_bytes > self._config.max_inflight_bytes and self._held_bytes > own:
            raise ServiceUnavailable("Too many uploads at a time. Try again in a moment.", retry_after_s=2)


class _Body:
    """One body on its way in."""

    def __init__(self, limit: BodyLimit, receive: Receive, max_bytes: int) -> None:
        self._limit = limit
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = limit.deadline()
        self._complete = False
        self.seen = 0

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()  # what comes now is the client's leaving
        message = await self._limit.next_message(self._receive, self._deadline)
        arrived = len(message.get("body", b""))
        self.seen += arrived
        self._limit.hold(arrived, self.seen)
        if self.seen > self._max_bytes:
            raise BodyTooLarge(_sentence(self._max_bytes))
        self._complete = not message.get("more_body", False)
        return message


class RateLimit:
    """A bucket of calls for each client (key, or address), refilled evenly. Counts what brings work: every POST but
    cancelling. ``per_minute`` 0: no limit."""

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self._app = app
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and self._per_minute
            and "/cancel-" not in scope["path"]
        ):
            wait_s = self._take(client_name(Request(scope)))
            if wait_s > 0:
                detail = f"At most {self._per_minute} calls a minute are allowed. Try again in {wait_s:.0f} s."
                headers = {"Retry-After": str(math.ceil(wait_s)), "Connection": "close"}
                code = TooManyRequests.code
                await respond(Request(scope), STATUS[code], code, detail, headers)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _take(self, client: str) -> float:
        """Seconds until a call is allowed; 0: this one is."""
        now, a_second = time.monotonic(), self._per_minute / 60
        level, at = self._buckets.pop(client, (float(self._per_minute), now))
        level = min(float(self._per_minute), level + (now - at) * a_second)
        wait_s = 0.0 if level >= 1 else (1 - level) / a_second
        self._buckets[client] = (level - 1 if level >= 1 else level, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)  # the one that was silent for longest
        return wait_s


def _sentence(max_bytes: int) -> str:
    return f"The request body is too large: at most {max_bytes} bytes are allowed."
