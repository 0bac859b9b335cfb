"""The same pictures to IOPaint's own server and to this service, in turn, over HTTP."""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from benchmarks.speed.servers import Ours, Sample, Server, Theirs, both, sample, this_service, together
from models.costs import costs_of
from models.crops import plan
from models.engine import EngineInfo
from models.job import HDOptions
from models.masks import regions_to_mask

_CASES: dict[int, list[tuple[int, tuple[str, ...], tuple[str, ...]]]] = {
    # Below IOPaint's trigger its Crop is its Original. Original's time does not depend on the regions.
    512: [(4, (), ("Auto",)), (8, ("Original",), ("Original", "Auto")), (50, (), ("Auto",))],
    1024: [
        (4, ("Crop",), ("Auto",)),
        (8, ("Original", "Crop"), ("Original", "Crop", "Auto")),
        (50, ("Crop",), ("Auto",)),
    ],
    2048: [
        (4, ("Crop",), ("Auto",)),
        (8, ("Original", "Crop"), ("Original", "Crop", "Auto")),
        (50, ("Crop",), ("Auto",)),
    ],
}
"""Size: regions, IOPaint's strategies, ours."""
_LONG = {(2048, "Original"), (2048, "Crop"), (1024, "Crop")}
"""Measured once each: minutes."""
_CLIENTS = 8
_CALLS = 16


def steps(sizes: tuple[int, ...]) -> int:
    return sum(_repeats(size, strategy) for size in sizes for _, _, strategy in _calls(size))


def side_by_side(sizes: tuple[int, ...], tick: Callable[[], None]) -> dict[str, Any]:
    rows = []
    with both() as (theirs, ours):
        for size in sizes:
            for regions, name, strategy in _calls(size):
                server: Server = theirs if name == theirs.name else ours
                given = sample(size, regions)
                times = []
                for _ in range(_repeats(size, strategy)):
                    times.append(server.call(given, strategy)["total"])
                    tick()
                rows.append(
                    {
                        "size": size,
                        "regions": regions,
                        "server": name,
                        "strategy": strategy,
                        "seconds": median(times),
                        "calls": len(times),
                    }
                )
        whole = {server.name: server.whole_mb() for server in (theirs, ours)}
        return {"rows": rows, "whole_mb": whole, "replica_mb": ours.replica_mb()}


def eight_clients(tick: Callable[[], None]) -> dict[str, Any]:
    """Throughput at 512 pixels, ``Original``; a call's fair share is the clients times the mean time between ends."""
    given, rows = sample(512, 8), []
    with both() as (theirs, ours):
        servers: list[Server] = [theirs, ours]
        for server in servers:
            seconds, wall = _timed(server, given)
            share = wall / _CALLS * _CLIENTS
            rows.append(
                {
                    "server": server.name,
                    "per_second": _CALLS / wall,
                    "median_s": median(seconds),
                    "longest_s": max(seconds),
                    "fair_share_s": share,
                }
            )
            tick()
    return {"clients": _CLIENTS, "calls": _CALLS, "rows": rows}


def stages(tick: Callable[[], None]) -> dict[str, Any]:
    """Where the time of one call goes; ``transport`` is what the client waits beyond the replica's own work."""
    rows = []
    with this_service() as ours:
        for size, strategy in ((1024, "Original"), (2048, "Auto")):
            given = sample(size, 8)
            calls = [ours.call(given, strategy) for _ in range(3)]
            best = min(calls, key=lambda call: call["total"])
            parts = ours.stages(given, strategy)
            rows.append(
                {
                    "size": size,
                    "strategy": strategy,
                    "total": best["total"],
                    "transport": best["total"] - best["work"],
                    **parts,
                }
            )
            tick()
    return {"rows": rows}


def windows(size: int, regions: int) -> tuple[int, float]:
    """How many windows ``Auto`` plans for a sample, and their megapixels."""
    given = sample(size, regions)
    mask = regions_to_mask(list(given.regions), size, size)
    info = EngineInfo("lama", "cpu", precision="bfloat16")
    found = plan(mask, HDOptions(), 2048, costs_of(info)).windows
    return len(found), sum(window.box.area for window in found) / 1e6


def _calls(size: int) -> Iterator[tuple[int, str, str]]:
    for regions, theirs, ours in _CASES[size]:
        yield from ((regions, Theirs.name, strategy) for strategy in theirs)
        yield from ((regions, Ours.name, strategy) for strategy in ours)


def _repeats(size: int, strategy: str) -> int:
    return 1 if (size, strategy) in _LONG else 3


def _timed(server: Server, given: Sample) -> tuple[list[float], float]:
    started = time.perf_counter()
    seconds = together(server, given, "Original", _CLIENTS, _CALLS)
    return seconds, time.perf_counter() - started
