"""What a job costs by its regions and by its pixels: decode to encode, in this process, without a service."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.speed.over_http import windows
from benchmarks.speed.servers import lama_weights, sample
from models import cpu
from models.engines.lama.engine import load
from models.geometry import Rect
from models.job import InpaintJob
from models.pipeline import process
from models.weights import WeightsStore
from tests.support.pictures import encoded, photo

REGIONS = (1, 2, 4, 8, 16, 32, 50)
SIZES = (512, 1024, 2048, 4096)


def measure(tick: Callable[[], None]) -> dict[str, Any]:
    cpu.prepare(0)
    engine = load("lama", "cpu", WeightsStore(lama_weights().parent))

    def seconds(size: int, regions: tuple[Rect, ...]) -> dict[str, float]:
        image = encoded(photo(size, size))
        started = time.perf_counter()
        process(
            InpaintJob(regions), image, None, engine,
            max_pixels=1 << 28, max_window_px=2048, on_progress=lambda event: None, should_stop=lambda: False,
        )  # fmt: skip
        return {"seconds": time.perf_counter() - started}

    seconds(512, sample(512, 2).regions)
    rows = []
    for size, count in [(1024, count) for count in REGIONS] + [(size, 4) for size in SIZES]:
        number, megapixels = windows(size, count)
        found = seconds(size, sample(size, count).regions)
        rows.append({"size": size, "regions": count, "windows": number, "megapixels": megapixels, **found})
        tick()
    # One line of a fixed size in ever larger pictures: what a large picture costs besides its windows.
    line = (Rect(100.0, 100.0, 300.0, 24.0),)
    for size in SIZES:
        rows.append({"size": size, "regions": 0, "windows": 1, "megapixels": 0.0, **seconds(size, line)})
        tick()
    return {"rows": rows}


def steps() -> int:
    return len(REGIONS) + 2 * len(SIZES)
