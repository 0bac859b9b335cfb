# Made from ../aio by scripts/sync_client: change it there.
"""What a client does with a call: sends, repeats, downloads, follows."""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException

from iopaint_client import wire
from iopaint_client.calls import Call
from iopaint_client.errors import ConnectionFailed, TimedOut, Unauthorized
from iopaint_client.files import written_whole
from iopaint_client.retries import Retries
from iopaint_client.states import Update
from iopaint_client.story import Story, subscription, websocket_url
from iopaint_client.sync.platform import HttpClient, HttpTransport, connect, in_thread, receive, repeated, sleep
from iopaint_client.wire import left

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_RECONNECT_S = 0.5
_CLOSE_S = 0.5
"""For the other side's goodbye: nothing of what is followed depends on it."""
_REFUSED = (4401, 4403)
"""Close codes of the service: no valid key, an origin that is not allowed."""


class Attempt(Protocol[T_co]):
    def __call__(self) -> T_co: ...


class Look(Protocol):
    """Asks over HTTP for what is followed."""

    def __call__(self) -> tuple[Story, list[Update]]: ...


class Transport:
    """One service; see the client for the arguments."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout_s: float,
        retries: Retries,
        transport: HttpTransport | None,
    ) -> None:
        self._headers = wire.headers(api_key)
        self._timeout_s = timeout_s
        self._retries = retries
        self._http = HttpClient(base_url=wire.base(base_url), headers=self._headers, transport=transport)

    def close(self) -> None:
        self._http.close()

    def send(self, call: Call[T], end: float | None = None) -> T:
        """``end``: of all attempts, by ``time.monotonic``. Raises ``TimedOut`` then."""
        attempts = itertools.count()
        return self._repeated(call, lambda: self.once(call, end, again=next(attempts) > 0), end)

    def _repeated(self, call: Call[Any], attempt: Attempt[T], end: float | None = None) -> T:
        return repeated(attempt, self._retries, end) if call.repeatable else attempt()

    def once(self, call: Call[T], end: float | None, *, again: bool = False) -> T:
        request = call.request(self._http, wire.within(self._timeout_s, end))
        try:
            response = self._http.send(request)
        except httpx.RequestError as error:
            raise wire.request_error(error, request) from error
        return call.answer(response, again=again)

    def download(self, call: Call[None], path: Path) -> Path:
        def attempt() -> Path:
            request = call.request(self._http, wire.within(self._timeout_s, None))
            try:
                response = self._http.send(request, stream=True)
                try:
                    if not response.is_success:
                        response.read()
                    call.answer(response)
                    with written_whole(path) as file:
                        for piece in response.iter_bytes():
                            in_thread(file.write, piece)
                finally:
                    response.close()
            except httpx.RequestError as error:
                raise wire.request_error(error, request) from error
            return path

        return self._repeated(call, attempt)

    def follow(
        self,
        path: str,
        subject: str | None,
        look: Look,
        end: float | None,
    ) -> Iterator[Update]:
        """``look`` is called at first, and whenever the WebSocket broke. Raises ``TimedOut`` at ``end``."""
        url = websocket_url(str(self._http.base_url), path)
        while True:
            story, news = look()
            for update in news:
                yield update
            if story.over:
                return
            try:
                with connect(
                    url, additional_headers=self._headers, open_timeout=left(end, 10.0), close_timeout=_CLOSE_S
                ) as socket:
                    if subject is not None:
                        socket.send(subscription(subject))
                    while not story.over:
                        heard = story.hear(receive(socket, left(end)))
                        if heard is not None:
                            yield heard
                return
            except (OSError, WebSocketException):  # TimeoutError is an OSError
                if left(end, 1.0) == 0:
                    raise TimedOut(f"No end of {subject or path.rpartition('/')[2]} in time.") from None
            sleep(left(end, _RECONNECT_S))

    def listen(self) -> Iterator[Mapping[str, Any]]:
        """Messages about all tasks, without end. Raises ``Unauthorized``, ``ConnectionFailed`` (the first time)."""
        url = websocket_url(str(self._http.base_url), "progress")
        heard = False
        while True:
            try:
                with connect(url, additional_headers=self._headers, open_timeout=10.0) as socket:
                    while True:
                        message = json.loads(receive(socket, None))
                        heard = True
                        yield message
            except ConnectionClosed as closed:
                if closed.rcvd is not None and closed.rcvd.code in _REFUSED:
                    raise Unauthorized(closed.rcvd.reason, "unauthorized", 401) from None
            except (OSError, WebSocketException) as error:
                if not heard:
                    raise ConnectionFailed(f"{url} cannot be reached: {error}.") from error
            sleep(_RECONNECT_S)
