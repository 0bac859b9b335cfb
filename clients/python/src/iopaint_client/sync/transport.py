"""What the blocking client does with a call: sends, repeats, downloads, follows. ``aio.transport`` is its twin."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tenacity import Retrying, retry_if_exception
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from iopaint_client import wire
from iopaint_client.calls import Call
from iopaint_client.errors import TimedOut
from iopaint_client.retries import Retries, worth_repeating
from iopaint_client.states import Update
from iopaint_client.story import Story, subscription, websocket_url

T = TypeVar("T")
_RECONNECT_S = 0.5


class Transport:
    """One service; see ``Client`` for the arguments."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout_s: float,
        retries: Retries,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._headers = wire.headers(api_key)
        self._retries = retries
        self._http = httpx.Client(
            base_url=wire.base(base_url),
            headers=self._headers,
            timeout=httpx.Timeout(timeout_s, connect=10.0),
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def send(self, call: Call[T]) -> T:
        return self._repeated(call, lambda: self._once(call))

    def _repeated(self, call: Call[Any], attempt: Callable[[], T]) -> T:
        if not call.repeatable:
            return attempt()
        retrying = Retrying(
            stop=self._retries.stop,
            wait=self._retries.wait,
            retry=retry_if_exception(worth_repeating),
            reraise=True,
        )
        return retrying(attempt)

    def _once(self, call: Call[T]) -> T:
        request = call.request(self._http)
        try:
            response = self._http.send(request)
        except httpx.TransportError as error:
            raise wire.transport_error(error, request) from error
        return call.answer(response)

    def download(self, call: Call[None], path: Path) -> Path:
        def attempt() -> Path:
            request = call.request(self._http)
            try:
                response = self._http.send(request, stream=True)
                try:
                    if not response.is_success:
                        response.read()
                    call.answer(response)
                    with path.open("wb") as file:
                        file.writelines(response.iter_bytes())
                finally:
                    response.close()
            except httpx.TransportError as error:
                raise wire.transport_error(error, request) from error
            return path

        return self._repeated(call, attempt)

    def follow(
        self,
        path: str,
        subject: str | None,
        look: Callable[[], tuple[Story, list[Update]]],
        timeout_s: float | None,
    ) -> Iterator[Update]:
        """``look`` asks over HTTP: at first, and whenever the WebSocket broke. Raises ``TimedOut``."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        url = websocket_url(str(self._http.base_url), path)
        while True:
            story, news = look()
            yield from news
            if story.over:
                return
            try:
                with connect(url, additional_headers=self._headers, open_timeout=left(end, 10.0)) as socket:
                    if subject is not None:
                        socket.send(subscription(subject))
                    while not story.over:
                        update = story.hear(socket.recv(timeout=left(end)))
                        if update is not None:
                            yield update
                return
            except (OSError, WebSocketException):  # TimeoutError is an OSError
                if left(end, 1.0) == 0:
                    raise TimedOut(f"No end of {path.rpartition('/')[2]} after {timeout_s} s.") from None
            time.sleep(_RECONNECT_S)


def left(end: float | None, most: float | None = None) -> float | None:
    """Seconds until ``end``, ``most`` at most."""
    if end is None:
        return most
    left = max(0.0, end - time.monotonic())
    return left if most is None else min(left, most)
