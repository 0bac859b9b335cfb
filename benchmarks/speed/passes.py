"""What one pass of each network needs beside its weights, per pixel: what ``models.memory`` reckons with.

Each measurement is a process of its own, with random weights in the real architecture: the model is loaded and has run
once over a small window; then the peak of the resident size (``VmHWM``, which Linux can set back) during one pass, less
the size before it. TorchScript files of which no class is published (ldm, zits, manga, migan) cannot be made here.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.servers import STATE, lama_weights
from models import cpu, memory
from models.engine import InpaintEngine
from models.geometry import Rect
from models.job import DiffusionOptions
from models.masks import regions_to_mask
from models.registry import EngineConfig, load_engine
from models.weights import WeightsStore
from tests.support.erase_models import save_fcf, save_mat
from tests.support.pictures import photo
from tests.support.pipelines import save_published_sd
from tests.support.service import ROOT

_CASES: dict[str, tuple[int, ...]] = {
    "lama float32": (512, 1024),
    "lama bfloat16": (512, 1024),
    "lama torchscript": (512, 1024),
    "mat": (512, 1024),
    "fcf": (512,),  # whatever the window, it runs over 512 x 512
    "an/sd": (512, 768),
    "classic": (1024, 2048),
    "cv2": (1024, 2048),
}
_WARM_PX = 64


def steps() -> int:
    return sum(len(sizes) for sizes in _CASES.values())


def measure(tick: Callable[[], None]) -> dict[str, Any]:
    """Bytes per pixel, by model and by the side of the window in pixels."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=STATE) as folder:
        save_mat(Path(folder))
        save_fcf(Path(folder))
        save_published_sd(Path(folder) / "an" / "sd")
        for case, sizes in _CASES.items():
            for size in sizes:
                command = [sys.executable, "-m", __name__, folder, case, str(size)]
                said = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
                found.setdefault(case, {})[str(size)] = json.loads(said.splitlines()[-1])
                tick()
    return found


def _loaded(case: str, folder: Path) -> InpaintEngine:
    from models.engines import iopaint
    from models.engines.lama.engine import load

    name, _, kind = case.partition(" ")
    store = WeightsStore(lama_weights().parent)
    if kind == "torchscript":
        cpu.prepare(0)
        return iopaint.load(name, "cpu", store)
    if kind:
        return load(name, "cpu", store, precision="bfloat16" if kind == "bfloat16" else "float32")
    return load_engine(name, EngineConfig("cpu", str(folder)))


def _bytes_per_px(case: str, folder: Path, size: int) -> float:
    engine = _loaded(case, folder)
    for side in (_WARM_PX, size):
        image = photo(side, side)
        mask = regions_to_mask([Rect(side * 0.2, side * 0.4, side * 0.5, side * 0.1)], side, side)
        memory.trim()
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        engine.run(image, mask, DiffusionOptions(steps=1), lambda done, total: None, lambda: False)
    return (_status("VmHWM") - before) / size**2


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(json.dumps(round(_bytes_per_px(sys.argv[2], Path(sys.argv[1]), int(sys.argv[3])), 1)))
