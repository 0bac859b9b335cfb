"""API keys: off while none is configured. Whoever has a key sees only what was submitted with it.

Keys are compared as SHA-256 digests, in constant time, with every configured one. The owner written to records is a
digest too: neither records nor logs can give a key back.
"""

import hashlib
import hmac
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from ingress.errors import STATUS, respond
from models.errors import TextRemovalError

_OPEN = frozenset({"/", "/playground", "/docs", "/redoc", "/openapi.json", "/api/v1/health"})
_OPEN_FOLDERS = ("/docs-assets/", "/playground/")
_QUERY_NAME = "api_key"


class Unauthorized(TextRemovalError):
    """No key, or a wrong one."""

    code = "unauthorized"


class KeyRing:
    """Digests of the keys; the keys themselves are forgotten."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = tuple(hashlib.sha256(key.encode()).digest() for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def owner(self, key: str) -> str | None:
        """The name of a key's owner; None when the key is not one of ours."""
        sent = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        known = False
        for digest in self._digests:  # all of them: how long it takes tells nothing
            known |= hmac.compare_digest(sent, digest)
        return f"key:{hashlib.sha256(sent).hexdigest()[:32]}" if known else None


class KeyCheck:
    """Plain ASGI middleware: 401, or for a WebSocket accepted and closed with 4401 (a browser sees no other reason).

    A query parameter counts for WebSockets only, whose clients in browsers cannot send headers, and goes no further.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self._keys:
            await self._app(scope, receive, send)
            return
        key = _sent_key(scope)
        owner = self._keys.owner(key) if key else None
        if owner is not None:
            scope.setdefault("state", {})["client"] = owner
        elif not (scope["type"] == "http" and is_open(scope)):
            await self._refuse(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            accept: Message = {"type": "websocket.accept"}
            await send(accept)
            await WebSocketClose(4401, "A valid API key is needed.")(scope, receive, send)
            return
        detail = "A valid API key is needed: send `Authorization: Bearer KEY` or `X-API-Key: KEY`."
        headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
        await respond(Request(scope), STATUS[Unauthorized.code], Unauthorized.code, detail, headers)(
            scope, receive, send
        )


def is_open(scope: Scope) -> bool:
    """Health, documentation and the playground's own files need no key."""
    path: str = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


def _sent_key(scope: Scope) -> str:
    headers: dict[bytes, str] = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    in_query = _take_from_query(scope)
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get(b"x-api-key", "") or (in_query if scope["type"] == "websocket" else "")


def _take_from_query(scope: Scope) -> str:
    """The key in the query string, which is taken out, so that nothing behind can log it."""
    pairs = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    found = [value for name, value in pairs if name == _QUERY_NAME]
    if found:
        scope["query_string"] = urlencode([pair for pair in pairs if pair[0] != _QUERY_NAME]).encode()
    return found[0] if found else ""
