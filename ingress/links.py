"""Absolute links in answers, as the client can reach them."""

from starlette.requests import HTTPConnection

_SCHEMES = ("http", "https", "ws", "wss")


def base_url(connection: HTTPConnection, public_url: str) -> str:
    """``PUBLIC_URL`` if set, else from X-Forwarded-Proto/Host/Prefix, else Host and root path. No trailing slash."""
    if public_url:
        return public_url
    headers = connection.headers
    forwarded = _first(headers.get("x-forwarded-proto")).lower()
    proto = (forwarded if forwarded in _SCHEMES else connection.url.scheme).replace("ws", "http")
    host = _first(headers.get("x-forwarded-host")) or headers.get("host", "localhost")
    prefix = _first(headers.get("x-forwarded-prefix")) or connection.scope.get("root_path", "")
    return f"{proto}://{host}{prefix}".rstrip("/")


def websocket_url(connection: HTTPConnection, public_url: str, task_id: str | None) -> str:
    """The task's own endpoint, or the general one."""
    base = base_url(connection, public_url)
    return f"ws{base.removeprefix('http')}/api/v1/ws/progress{f'/{task_id}' if task_id else ''}"


def client_name(connection: HTTPConnection) -> str:
    """Whom the queue is fair between: the API key's name when keys are on, else the peer's address."""
    named = connection.scope.get("state", {}).get("client")
    return named or f"ip:{connection.client.host if connection.client else 'unknown'}"


def _first(value: str | None) -> str:
    return value.split(",")[0].strip() if value else ""
