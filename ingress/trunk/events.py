"""What goes over a trunk, and its way from and to ASGI's messages.

Up: ``open`` (what is known of the client), ``text``, ``bytes``, ``gone`` (code), ``end`` (of the trunk).
Down: ``accept``, ``text``, ``bytes``, ``close``, ``done`` (the application has ended), ``took`` (cost of what it took).
"""

from collections.abc import Sequence
from typing import Any

from starlette.types import Message, Scope

PATH = "/api/v1/ws/trunk"
_EACH = 1024
"""An empty message costs something, too."""
_ABOUT = ("path", "root_path", "scheme", "http_version", "client", "server", "subprotocols")
_BYTES = ("raw_path", "query_string")

Event = Sequence[Any]


def cost(message: Message) -> int:
    """Of keeping what a client or the application said, in about bytes; 0 for what is no data."""
    if message["type"] not in ("websocket.receive", "websocket.send"):
        return 0
    return len(message.get("text") or message.get("bytes") or "") + _EACH


def from_client(number: int, message: Message) -> Event:
    """Of an ASGI message that a client sent."""
    if message["type"] == "websocket.disconnect":
        return ("gone", number, message.get("code", 1005))
    text = message.get("text")
    return ("text", number, text) if text is not None else ("bytes", number, message["bytes"].decode("latin-1"))


def to_application(kind: str, about: Any) -> Message:
    """The same at the other end."""
    if kind == "text":
        return {"type": "websocket.receive", "text": about}
    if kind == "bytes":
        return {"type": "websocket.receive", "bytes": about.encode("latin-1")}
    return {"type": "websocket.disconnect", "code": about}


def from_application(number: int, message: Message) -> Event:
    kind = message["type"]
    if kind == "websocket.accept":
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in message.get("headers") or ()]
        return ("accept", number, message.get("subprotocol"), headers)
    if kind == "websocket.close":
        return ("close", number, message.get("code", 1000), message.get("reason") or "")
    text = message.get("text")
    return ("text", number, text) if text is not None else ("bytes", number, message["bytes"].decode("latin-1"))


def to_client(kind: str, about: Sequence[Any]) -> Message:
    if kind == "accept":
        return {"type": "websocket.accept", "subprotocol": about[0], "headers": _headers(about[1])}
    if kind == "text":
        return {"type": "websocket.send", "text": about[0]}
    if kind == "bytes":
        return {"type": "websocket.send", "bytes": about[0].encode("latin-1")}
    code, reason = about
    return {"type": "websocket.close", "code": code, "reason": reason}


def about(scope: Scope) -> dict[str, Any]:
    """What the application is told of a client."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    texts = {name: (scope.get(name) or b"").decode("latin-1") for name in _BYTES}
    return {name: scope.get(name) for name in _ABOUT} | texts | {"headers": headers}


def scope_of(base: Scope, told: dict[str, Any]) -> Scope:
    """Of one socket, in the application's process: its client's own, on the trunk's."""
    own = dict(told) | {name: told[name].encode("latin-1") for name in _BYTES}
    own["headers"] = _headers(told["headers"])
    for name in ("client", "server"):
        own[name] = tuple(own[name]) if own[name] else None
    return dict(base) | own | {"root_path": base.get("root_path", ""), "state": {}, "extensions": {}}


def _headers(pairs: Sequence[Sequence[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
