"""All in which the two clients differ; the rest of this folder becomes ``sync`` (``scripts/sync_client``)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from tenacity import AsyncRetrying
from websockets.asyncio.client import ClientConnection, connect

from iopaint_client.retries import Retries

__all__ = ["HttpClient", "HttpTransport", "connect", "in_thread", "receive", "repeated", "sleep"]
T = TypeVar("T")

HttpClient = httpx.AsyncClient
HttpTransport = httpx.AsyncBaseTransport
sleep = asyncio.sleep
in_thread = asyncio.to_thread


async def receive(socket: ClientConnection, timeout_s: float | None) -> str | bytes:
    """Raises ``TimeoutError``."""
    return await asyncio.wait_for(socket.recv(), timeout_s)


async def repeated(attempt: Callable[[], Awaitable[T]], retries: Retries, end: float | None) -> T:
    async def run() -> T:  # tenacity awaits what such a function returns, and not what a lambda returns
        return await attempt()

    return await AsyncRetrying(**retries.for_tenacity(end))(run)
