"""LaMa without any service: our generator beside the TorchScript file as IOPaint runs it; the machine's own rate."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.servers import lama_weights
from models import cpu
from models.engine import InpaintEngine
from models.engines import iopaint
from models.engines.lama.engine import load
from models.geometry import Rect
from models.job import DiffusionOptions
from models.masks import regions_to_mask
from models.weights import WeightsStore
from tests.support.lama import generator, randomised
from tests.support.pictures import photo

_MATRIX = 2048


@dataclass(frozen=True, slots=True)
class EngineRow:
    size: int
    torchscript_s: float
    float32_s: float
    bfloat16_s: float | None
    tera_operations: float
    """Multiplications and additions of one pass, 10^12."""


def measure(sizes: tuple[int, ...], repeats: int, tick: Callable[[], None]) -> dict[str, Any]:
    """Medians of ``repeats`` passes in turn; all engines see the same picture."""
    weights = lama_weights()
    torch.hub.set_dir(str(weights.parents[1]))
    store = WeightsStore(weights.parent)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = cpu.prepare(0)
    engines: dict[str, InpaintEngine] = {"torchscript": iopaint.load("lama", device, store)}
    engines["float32"] = load("lama", device, store, precision="float32")
    if device == "cuda" or cpu.fast_bfloat16():
        engines["bfloat16"] = load("lama", device, store, precision="bfloat16")
    rows = []
    for size in sizes:
        times: dict[str, list[float]] = {name: [] for name in engines}
        for turn in range(repeats + 1):
            for name, engine in engines.items():
                seconds = one_pass(engine, size)
                if turn:  # the first pass of a shape warms up
                    times[name].append(seconds)
                tick()
        medians = {f"{name}_s": statistics.median(values) for name, values in times.items()}
        rows.append(
            EngineRow(
                size=size, bfloat16_s=medians.pop("bfloat16_s", None), **medians, tera_operations=_operations(size)
            )
        )
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else cpu_name(),
        "threads": threads,
        "rows": [asdict(row) for row in rows],
        "matmul_tflops": {
            str(dtype).removeprefix("torch."): _rate(dtype, device) for dtype in (torch.float32, torch.bfloat16)
        },
    }


def one_pass(engine: InpaintEngine, size: int) -> float:
    image = photo(size, size)
    mask = regions_to_mask([Rect(size * 0.2, size * 0.4, size * 0.5, size * 0.1)], size, size)
    started = time.perf_counter()
    engine.run(image, mask, DiffusionOptions(), lambda done, total: None, lambda: False)
    return time.perf_counter() - started


def _operations(size: int) -> float:
    """Counted on a thin copy of the network: a quarter of the channels need a sixteenth of the operations."""
    thin = randomised(generator(base=16))
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        thin(torch.zeros(1, 4, size, size))
    return counter.get_total_flops() * 16 / 1e12


def _rate(dtype: torch.dtype, device: str) -> float:
    """The best of ten matrix products, in 10^12 operations a second."""
    a, b = (torch.randn(_MATRIX, _MATRIX, device=device, dtype=dtype) for _ in range(2))
    best = np.inf
    for _ in range(10):
        started = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return float(2 * _MATRIX**3 / best / 1e12)


def cpu_name() -> str:
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores)" if names else "CPU"
