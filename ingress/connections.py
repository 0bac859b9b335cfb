"""What uvicorn's HTTP protocol lacks towards strangers: deadlines for headers and for slow readers, bounds of size.

uvicorn waits without limit for headers, and for a client to take an answer in; httptools keeps headers of any
length. Serve's proxy gives no option for the protocol; ``ingress.edge`` puts this class in its place.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.exceptions import InvalidState

_LINGER_S = 5.0
"""For what a client still sends after a refusal. Closed at once, it would lose the answer (RFC 9112, section 9.6)."""
_MOST_MESSAGES_AT_ONCE = 4096
"""Of a WebSocket; a client may subscribe to its thousand tasks in one go."""
_CLOSE = b"content-type: application/json\r\nconnection: close\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bytes and seconds. ``idle_s``: for all headers of a request, and between two signs of a reader's life."""

    idle_s: float
    max_connections: int
    max_connections_of_one: int
    """Of one address; WebSockets are counted by themselves. Less than all: nobody takes the last from all others."""
    max_header_bytes: int = 65_536
    max_message_bytes: int = 1_048_576
    """Of one WebSocket message; the application allows fewer characters, and says so in words."""
    min_read_bytes: int = 65_536
    """That a reader takes in ``idle_s``, while more than the kernel holds is waiting for it."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. ``limits`` is set by a subclass, because uvicorn makes the objects."""

    limits: ClassVar[ConnectionLimits]
    held: ClassVar[Counter[str]] = Counter()
    """Connections by address."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        config.ws_max_size = self.limits.max_message_bytes
        config.ws_per_message_deflate = False  # messages are small, and a few bytes cannot become many
        super().__init__(config, server_state, app_state, _loop)
        self.ws_protocol_class = GuardedSocket
        self._header_timer: asyncio.TimerHandle | None = None
        self._reader_timer: asyncio.TimerHandle | None = None
        self._reading_headers = False
        self._body_bytes = 0
        self._other_bytes = 0
        self._refused_at = 0.0
        self._address: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """With no room in the transport's buffer, any answer that the kernel does not take pauses writing."""
        transport.set_write_buffer_limits(high=0)
        super().connection_made(cast("asyncio.Transport", _Lingering(transport, self)))
        self._address = str((self.client or ("",))[0])
        self.held[self._address] += 1
        if self.held[self._address] > self.limits.max_connections_of_one:
            self._refuse(503, "service_unavailable", "Too many connections of yours are open. Close some of them.")
        elif len(self.connections) > self.limits.max_connections:
            self._refuse(503, "service_unavailable", "Too many connections are open. Try again in a moment.")
        else:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        self._give_back_place()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            if self._refused_at and time.monotonic() - self._refused_at > _LINGER_S:
                self.transport.abort()
            return
        if self.cycle is None or self.cycle.response_complete:
            self._expect_headers()
        self._other_bytes += len(data)
        super().data_received(data)
        most = self.limits.max_header_bytes
        if not self.is_receiving:
            self._other_bytes = 0
        elif self._reading_headers and self._other_bytes > most:
            self._refuse(431, "headers_too_large", f"The headers are too large: at most {most} bytes are allowed.")
        elif self._other_bytes > most + self._body_bytes // 4:
            self.transport.abort()  # chunks of a few bytes each, their extensions, trailers: no body that anybody needs

    @property
    def request_is_incomplete(self) -> bool:
        """Whether more of the newest request's body is to come."""
        return bool(self.cycle is not None and self.cycle.more_body)

    @property
    def is_receiving(self) -> bool:
        return self._reading_headers or self.request_is_incomplete

    def handle_websocket_upgrade(self) -> None:
        """A WebSocket has its own deadlines: pings that must be answered."""
        self._stop_timers()
        self._give_back_place()
        self.transport = cast("_Lingering", self.transport).inner
        self.transport.set_write_buffer_limits()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self._reading_headers, self._body_bytes = True, 0
        self._expect_headers()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading_headers:  # else a trailer, which nothing here reads
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reading_headers = False
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._other_bytes -= len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """An answer that came before the body's end ends the connection: the rest is nobody's."""
        ends = not self.pipeline and self.request_is_incomplete
        super().on_response_complete()
        if ends:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reader_timer is None:
            self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None
        super().resume_writing()

    def note_refusal(self) -> None:
        """The connection lingers from now on."""
        self._refused_at = time.monotonic()
        self._stop_timers()
        self._header_timer = self.loop.call_later(_LINGER_S, self.transport.abort)

    def _expect_headers(self) -> None:
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.limits.idle_s, self._headers_late)

    def _headers_late(self) -> None:
        self._header_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._expect_headers()  # of a second request, while the first is being answered
        elif self._reading_headers:
            self._refuse(408, "upload_timeout", f"The headers did not arrive within {self.limits.idle_s:g} s.")
        else:
            self.transport.close()

    def _watch_reader(self, waiting_bytes: int) -> None:
        self._reader_timer = self.loop.call_later(self.limits.idle_s, self._reader_late, waiting_bytes)

    def _reader_late(self, before: int) -> None:
        now = self.transport.get_write_buffer_size()
        if before - now < self.limits.min_read_bytes:
            self.transport.abort()
        else:
            self._watch_reader(now)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        body = f'{{"detail": "{detail}", "error": "{code}", "request_id": ""}}'.encode()
        retry = b"retry-after: 5\r\n" if status == 503 else b""
        head = b"HTTP/1.1 %d Refused\r\n%s%scontent-length: %d\r\n\r\n" % (status, retry, _CLOSE, len(body))
        self.transport.write(head + body)
        self.transport.close()

    def _give_back_place(self) -> None:
        if self._address is not None:
            self.held[self._address] -= 1
            if not self.held[self._address]:
                del self.held[self._address]
            self._address = None

    def _stop_timers(self) -> None:
        for timer in (self._header_timer, self._reader_timer):
            if timer is not None:
                timer.cancel()
        self._header_timer = self._reader_timer = None
        self._unset_keepalive_if_required()


class GuardedSocket(WebSocketsSansIOProtocol):
    """uvicorn reads on when the application has taken all that came; one packet may hold very many small messages."""

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except InvalidState:  # text that is none, before a close: uvicorn answers both with a close
            self.transport.abort()
            return
        if self.queue.qsize() > _MOST_MESSAGES_AT_ONCE:
            self.transport.abort()


class _Lingering:
    """A transport whose ``close``, while a request is still arriving, ends our half only and drops what comes."""

    def __init__(self, inner: asyncio.Transport, protocol: GuardedProtocol) -> None:
        self.inner = inner
        self._protocol = protocol
        self._lingers = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def is_closing(self) -> bool:
        return self._lingers or self.inner.is_closing()

    def close(self) -> None:
        if self.is_closing():
            return
        if not self._protocol.is_receiving or not self.inner.can_write_eof():
            self.inner.close()
            return
        self._lingers = True
        self._protocol.note_refusal()
        self.inner.resume_reading()
        self.inner.write_eof()
