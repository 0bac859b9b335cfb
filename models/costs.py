"""What one run of an engine costs by its size, per class of device: what the plan of windows is weighed by.

The figures are measured by ``scripts/benchmark costs`` and committed, never measured in the running service: the same
request must get the same windows on every replica and in every attempt.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from models.engine import EngineInfo

_DEFAULT = "cpu"


@dataclass(frozen=True, slots=True)
class WindowCosts:
    """``seconds = fixed_s + per_mpx_s * megapixels``; ``ladder_px``: the sides that windows have, rising: few
    on a GPU, where windows of different requests meet in one batch; close together on a CPU, where none do.

    ``square``: both sides are the same; ``max_px``: none is longer, where the engine has a bound of its own.
    """

    fixed_s: float
    per_mpx_s: float
    ladder_px: tuple[int, ...]
    square: bool = False
    max_px: int | None = None

    def seconds(self, width: int, height: int) -> float:
        return self.fixed_s + self.per_mpx_s * width * height / 1e6

    def rung(self, size: int) -> int:
        """The smallest side of the ladder that holds ``size``; ``size`` itself beyond its end."""
        return next((rung for rung in self.ladder_px if rung >= size), size)


def costs_of(info: EngineInfo) -> WindowCosts:
    """Of the engine's device and precision, such as ``cpu-bfloat16``; else of the device; else of a CPU. Windows have
    the sizes that the engine takes.
    """
    table = _table()
    device = info.device.split(":")[0]
    costs = table.get(f"{device}-{info.precision}") or table.get(device) or table[_DEFAULT]
    sizes = info.sizes
    return replace(costs, ladder_px=sizes.ladder(costs.ladder_px), square=sizes.square, max_px=sizes.max_px)


@cache
def _table() -> dict[str, WindowCosts]:
    entries = json.loads(files("models").joinpath("costs.json").read_text())["classes"]
    return {
        name: WindowCosts(entry["fixed_s"], entry["per_mpx_s"], tuple(entry["ladder_px"]))
        for name, entry in entries.items()
    }
