"""All in which the two clients differ: see ``aio.platform``. The only file here written by hand."""

from collections.abc import Callable
from time import sleep
from typing import ParamSpec, TypeVar

import httpx
from tenacity import Retrying
from websockets.sync.client import ClientConnection, connect

from iopaint_client.retries import Retries

__all__ = ["HttpClient", "HttpTransport", "connect", "in_thread", "receive", "repeated", "sleep"]
P = ParamSpec("P")
T = TypeVar("T")

HttpClient = httpx.Client
HttpTransport = httpx.BaseTransport


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


def receive(socket: ClientConnection, timeout_s: float | None) -> str | bytes:
    """Raises ``TimeoutError``."""
    return socket.recv(timeout=timeout_s)


def repeated(attempt: Callable[[], T], retries: Retries, end: float | None) -> T:
    return Retrying(**retries.for_tenacity(end))(attempt)
