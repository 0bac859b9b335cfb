"""What both clients do alike around a request."""

import re
import time
from typing import overload

import httpx

from iopaint_client.errors import ConnectionFailed, InvalidArgument, TextRemovalClientError, TimedOut, UnexpectedAnswer

USER_AGENT = "iopaint-client/1.0.0"
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")


def headers(api_key: str | None) -> dict[str, str]:
    """Raises ``InvalidArgument``."""
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise InvalidArgument("api_key: printable ASCII is expected, as it goes into a header.")
    return {"User-Agent": USER_AGENT} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})


def base(url: str) -> str:
    """Raises ``InvalidArgument``."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidArgument(f"base_url: {url!r} is not an address: {error}.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > 65_535:
        raise InvalidArgument(f"base_url: {url!r} is not an address: http://HOST:PORT or https://HOST is expected.")
    return url.rstrip("/") + "/"


def checked_id(text: str) -> str:
    """Of a task or batch: it becomes part of a path. Raises ``InvalidArgument``."""
    if not _ID.fullmatch(text):
        raise InvalidArgument(f"{text!r} is no id: letters, digits, '.', '_' and '-' are expected, 128 at most.")
    return text


def within(timeout_s: float, end: float | None) -> httpx.Timeout:
    """Of one request, for each of its waits. Raises ``TimedOut`` when nothing is left of the time."""
    if (most := left(end, timeout_s)) == 0:
        raise TimedOut("There was no answer in time.")
    return httpx.Timeout(most, connect=min(most, 10.0))


def request_error(error: httpx.RequestError, request: httpx.Request) -> TextRemovalClientError:
    """A time-out of the answer is final: the work would begin anew. Everything else may be repeated."""
    where = f"{request.url.scheme}://{request.url.netloc.decode()}"
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOut(f"{where} did not answer in time ({type(error).__name__}).")
    if isinstance(error, httpx.DecodingError):
        return UnexpectedAnswer(f"An answer of {where} cannot be decoded: {error}.")
    return ConnectionFailed(f"{where} cannot be reached: {error or type(error).__name__}.")


def deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else time.monotonic() + timeout_s


@overload
def left(end: float | None, most: float) -> float: ...
@overload
def left(end: float | None, most: None = None) -> float | None: ...
def left(end: float | None, most: float | None = None) -> float | None:
    """Seconds until ``end``, ``most`` at most."""
    if end is None:
        return most
    left = max(0.0, end - time.monotonic())
    return left if most is None else min(left, most)
