"""How many WebSockets there are, in all and for each client. Each holds a place of its ingress replica."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

MAX_SOCKETS = 800
"""Of one replica: four fifths of the places that it has for calls of any kind (``max_ongoing_requests``)."""


class SocketCount:
    def __init__(self, max_per_client: int, max_all: int = MAX_SOCKETS) -> None:
        self._max_per_client = max_per_client
        self._max_all = max_all
        self._open: Counter[str] = Counter()

    @contextmanager
    def place(self, client: str) -> Iterator[str]:
        """Gives why there is none; an empty text when there is."""
        if self._open.total() >= self._max_all:
            yield "Too many WebSockets are open. Try again later."
            return
        if self._open[client] >= self._max_per_client:
            yield f"At most {self._max_per_client} WebSockets of one client are allowed."
            return
        self._open[client] += 1
        try:
            yield ""
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
