"""Places for calls, of which there is a number. When all are taken, who hardly moves gives way to who comes."""

import time
from collections.abc import Callable

_SLOW_BYTES_A_S = 16_384
_INTERVAL_S = 5.0
"""For which it is judged: the last whole one, so that what the kernels took at first does not count for long."""

_LOOK_AGAIN_S = 0.1
"""After nobody was found: under overload each look would be a load itself."""


class Place:
    """One call's: it uploads, then the service works, then it reads the answer."""

    def __init__(self, give_way: Callable[[], None]) -> None:
        self.give_way = give_way
        self.works(False)

    def works(self, whether: bool) -> None:
        """Neither uploads nor reads; what was moved until now is of the phase that ended."""
        self._works = whether
        self._first = self._number = _interval()
        self._now = self._before = 0

    def moved(self, size: int) -> None:
        """Of the body, or of the answer."""
        self._turn()
        self._now += size

    def bytes_a_s(self) -> float:
        """Infinite while nobody can say yet, and while the service itself is at work."""
        self._turn()
        told = not self._works and self._number - self._first >= 2
        return self._before / _INTERVAL_S if told else float("inf")

    def _turn(self) -> None:
        number = _interval()
        if number != self._number:
            self._before = self._now if number == self._number + 1 else 0
            self._number, self._now = number, 0


class Places:
    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: set[Place] = set()
        self._looked_at = 0.0

    def take(self, place: Place) -> bool:
        """False: all are taken, and nobody is so slow that the place is better given to another."""
        if len(self._taken) >= self._most:
            if time.monotonic() - self._looked_at < _LOOK_AGAIN_S:
                return False
            slowest = min(self._taken, key=Place.bytes_a_s, default=None)
            if slowest is None or slowest.bytes_a_s() >= _SLOW_BYTES_A_S:
                self._looked_at = time.monotonic()
                return False
            self._taken.remove(slowest)
            slowest.give_way()
        self._taken.add(place)
        return True

    def give_back(self, place: Place) -> None:
        self._taken.discard(place)


def _interval() -> int:
    return int(time.monotonic() / _INTERVAL_S)
