"""Whether the replica's memory stays where it is: large pictures one after the other over HTTP, its size after each.

Pictures come and go through the node's object store, which has a bound of its own; its pages count for every process
that has looked at them. They are told apart.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.speed.servers import Ours, sample, this_service

CALLS, SETTLED = 50, 5
"""Calls, and after how many of them the size is what the others are held against."""
ALLOWED = 0.05
_SIZE, _REGIONS, _STRATEGY = 2048, 8, "Auto"
_PATIENCE_S = 2.0
"""A replica gives memory back when a job has ended, which is a moment after its answer has arrived."""


def measure(calls: int, tick: Callable[[], None]) -> dict[str, Any]:
    """``resident_mb`` after each call, and without the object store's pages ``own_mb``; ``worst``: the farthest from
    what it was after the fifth, as a share of it.
    """
    given, resident, own, seconds = sample(_SIZE, _REGIONS), list[float](), list[float](), list[float]()
    with this_service() as ours:
        for _ in range(calls):
            seconds.append(ours.call(given, _STRATEGY)["total"])
            resident.append(_at_rest_mb(ours))
            own.append(ours.resident_mb(own=True))
            tick()
    settled = resident[SETTLED - 1]
    worst = max(resident[SETTLED - 1 :], key=lambda value: abs(value - settled)) / settled - 1
    return {
        "size": _SIZE, "regions": _REGIONS, "strategy": _STRATEGY, "calls": calls, "resident_mb": resident,
        "own_mb": own, "settled_mb": settled, "worst": worst, "seconds": sum(seconds) / calls,
    }  # fmt: skip


def _at_rest_mb(ours: Ours) -> float:
    """Once two looks agree to a hundredth; what it is at last where they never do."""
    end, before = time.monotonic() + _PATIENCE_S, 0.0
    while True:
        now = ours.resident_mb()
        if abs(now - before) <= before / 100 or time.monotonic() > end:
            return now
        before = now
        time.sleep(0.1)
