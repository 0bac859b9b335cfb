"""What both clients do alike around a request."""

import time

import httpx

from iopaint_client.errors import ConnectionFailed, TextRemovalClientError, TimedOut

USER_AGENT = "iopaint-client/1.0.0"


def headers(api_key: str | None) -> dict[str, str]:
    return {"User-Agent": USER_AGENT} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def base(url: str) -> str:
    return url.rstrip("/") + "/"


def transport_error(error: httpx.TransportError, request: httpx.Request) -> TextRemovalClientError:
    """A time-out of the answer is final: the work would begin anew. Everything else may be repeated."""
    where = f"{request.url.scheme}://{request.url.netloc.decode()}"
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOut(f"{where} did not answer in time ({type(error).__name__}).")
    return ConnectionFailed(f"{where} cannot be reached: {error or type(error).__name__}.")


def left(end: float | None, most: float | None = None) -> float | None:
    """Seconds until ``end``, ``most`` at most."""
    if end is None:
        return most
    left = max(0.0, end - time.monotonic())
    return left if most is None else min(left, most)
