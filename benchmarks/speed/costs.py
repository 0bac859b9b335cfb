"""Measures what a run of LaMa costs by its size, and writes it to ``models/costs.json``, which plans are made by."""

import json
import re
from collections.abc import Callable

import numpy as np

from benchmarks.speed.engine_alone import one_pass
from benchmarks.speed.servers import lama_weights
from models import cpu
from models.engines.lama.engine import load
from models.weights import WeightsStore
from tests.support.service import ROOT

_FILE = ROOT / "models" / "costs.json"
_SIDES = (128, 192, 256, 384, 512, 768)
_REPEATS = 3


def measure(tick: Callable[[], None]) -> dict[str, dict[str, float]]:
    """Per class of device that this machine has: ``fixed_s`` and ``per_mpx_s``, by least relative squares."""
    cpu.prepare(0)
    store = WeightsStore(lama_weights().parent)
    found = {}
    for precision in ("float32", "bfloat16") if cpu.fast_bfloat16() else ("float32",):
        engine = load("lama", "cpu", store, precision=precision)
        seconds = []
        for side in _SIDES:
            times = []
            for _ in range(_REPEATS + 1):
                times.append(one_pass(engine, side))
                tick()
            seconds.append(min(times[1:]))
        found[f"cpu-{precision}"] = _fitted(np.array(_SIDES) ** 2 / 1e6, np.array(seconds))
    return found


def steps() -> int:
    return (2 if cpu.fast_bfloat16() else 1) * len(_SIDES) * (_REPEATS + 1)


def write(found: dict[str, dict[str, float]], machine: str) -> None:
    table = json.loads(_FILE.read_text())
    for name, fitted in found.items():
        table["classes"][name] |= fitted | {"measured": machine}
    text = json.dumps(table, indent=2)
    # A ladder is one line.
    _FILE.write_text(re.sub(r"\[[^\[\]]*\]", lambda found: re.sub(r"\s+", " ", found[0]), text) + "\n")


def _fitted(megapixels: np.ndarray, seconds: np.ndarray) -> dict[str, float]:
    terms = np.stack([np.ones_like(megapixels), megapixels], axis=1) / seconds[:, None]
    fixed, per_mpx = np.linalg.lstsq(terms, np.ones_like(seconds), rcond=None)[0]
    return {"fixed_s": round(max(0.0, float(fixed)), 4), "per_mpx_s": round(float(per_mpx), 3)}
