"""What other work on the same cores costs a pass: its threads share each layer and wait for the slower of them."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.speed.engine_alone import cpu_name, one_pass
from benchmarks.speed.servers import lama_weights
from models import cpu
from models.engines.lama.engine import load
from models.weights import WeightsStore

_SIZE = 512
_SHARES = (0.0, 0.1, 0.2, 0.5)
"""Of one core, that the neighbour takes."""
_TURN_S = 0.01
_WORK = """
import sys, time
busy_s, idle_s = map(float, sys.argv[1:])
while True:
    began = time.perf_counter()
    while time.perf_counter() - began < busy_s:
        pass
    time.sleep(idle_s)
"""


def steps(repeats: int) -> int:
    return len(_SHARES) * (repeats + 1)


def measure(repeats: int, tick: Callable[[], None]) -> dict[str, Any]:
    """Median seconds of a pass by the neighbour's share of one core; all shares in turn, the first turn warms up."""
    store = WeightsStore(lama_weights().parent)
    torch.hub.set_dir(str(lama_weights().parents[1]))
    threads = cpu.prepare(0)
    engine = load("lama", "cpu", store)
    times: dict[float, list[float]] = {share: [] for share in _SHARES}
    for turn in range(repeats + 1):
        for share in _SHARES:
            with _neighbour(share):
                seconds = one_pass(engine, _SIZE)
            if turn:
                times[share].append(seconds)
            tick()
    rows = [{"share": share, "seconds": statistics.median(found)} for share, found in times.items()]
    return {"device": cpu_name(), "threads": threads, "size": _SIZE, "rows": rows}


@contextmanager
def _neighbour(share: float) -> Iterator[None]:
    if not share:
        yield
        return
    busy_s = _TURN_S * share
    process = subprocess.Popen([sys.executable, "-c", _WORK, str(busy_s), str(_TURN_S - busy_s)])
    try:
        time.sleep(0.2)  # until it is at work
        yield
    finally:
        process.kill()
        process.wait()
