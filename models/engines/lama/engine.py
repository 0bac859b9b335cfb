"""``lama`` and ``anime-lama`` by our own generator, held against the TorchScript file; IOPaint's class stands in."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import cpu
from models.engine import EngineInfo, Filling, Image, InpaintEngine, Mask, OnStep, Precision, ShouldStop
from models.engines import iopaint
from models.engines.lama.check import disagreement, fill
from models.engines.lama.generator import Generator
from models.engines.lama.layers import Kind
from models.engines.lama.parameters import NotLama, State, generator_state, is_checkpoint, read_checkpoint
from models.engines.placing import place
from models.engines.torchscript import read_script
from models.job import DiffusionOptions
from models.weights import BadWeights, Sources, WeightsStore, sha256, weights_files
from models.windows import WindowSizes

log = logging.getLogger("ray.serve")

NAMES = ("lama", "anime-lama")

_MAX_BATCH = 16
_PEAK_NUMBERS_PER_PIXEL = 5 * 64
"""About what lives at once around the full-size layers: 64 channels, their input, their output, and what is padded."""

_PAD_PX = 8
"""Sizes that the downsamplings halve evenly; as IOPaint pads."""
_MIN_PX = 16
"""Reflecting one pixel at an eighth of the size needs two there."""


class LamaEngine:
    """Pixels as IOPaint's ``LaMa``: padded to multiples of 8 by mirroring, 0..1 in between, truncated to 0..255."""

    def __init__(self, generator: Generator, info: EngineInfo) -> None:
        self._generator = generator
        precision = str(generator.kind.dtype).removeprefix("torch.")
        self._info = replace(info, precision=precision, sizes=WindowSizes(_PAD_PX, _MIN_PX))

    @property
    def info(self) -> EngineInfo:
        return self._info

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        filling = self.run_batch([(image, mask)])[0]
        on_step(1, 1)
        return filling

    def max_batch(self, height: int, width: int) -> int:
        """One on a CPU: its cores are busy with one window, and two want twice the cache."""
        device = self._generator.kind.device
        if device.type != "cuda":
            return 1
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        window_bytes = height * width * _PEAK_NUMBERS_PER_PIXEL * self._generator.kind.dtype.itemsize
        return max(1, min(_MAX_BATCH, free // 2 // window_bytes))

    def run_batch(self, windows: Sequence[tuple[Image, Mask]]) -> list[Filling]:
        height, width = windows[0][1].shape
        rows, columns = _padding(height), _padding(width)
        pixels = np.stack([np.pad(image, (rows, columns, (0, 0)), mode="symmetric") for image, _ in windows])
        holes = np.stack([np.pad(mask, (rows, columns), mode="symmetric") for _, mask in windows])
        device = self._generator.kind.device
        with torch.inference_mode():
            known = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
            masked = torch.from_numpy(holes).to(device)[:, None].gt(0).float()
            filled = fill(self._generator, known, masked)
            results = filled[..., :height, :width].mul_(255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return [Filling(np.ascontiguousarray(result)) for result in results]

    def close(self) -> None:
        del self._generator
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def load(
    name: str, device: str, store: WeightsStore, threads: int = 0, precision: Precision = "auto",
    sources: Sources | None = None,
) -> InpaintEngine:  # fmt: skip
    """Raises ``ModelUnavailable`` when the file cannot be had or is no LaMa at all."""
    used = cpu.prepare(threads)
    file = next(iter(weights_files(name, sources).values()))

    def own() -> LamaEngine | str:
        path = store.ensure(name, file)
        found = _load_checkpoint if is_checkpoint(path) else _load_script
        return found(name, device, path, precision)

    engine = store.replacing_bad_files(name, own)
    if isinstance(engine, str):
        note = f"{name} runs as its TorchScript file, several times slower than our own generator: {engine}."
        log.warning(note)
        return iopaint.load(name, device, store, sources).with_note(note)
    log.info("own generator in use", extra={"model": name, "dtype": engine.info.precision, "threads": used})
    return engine


def _told(info: EngineInfo, generator: Generator, asked: Precision) -> EngineInfo:
    """With a note where it is not the precision that was asked for."""
    if asked != "bfloat16" or generator.kind.dtype == torch.bfloat16:
        return info
    why = "bfloat16 is too far off with this file"
    if generator.kind.device.type == "cpu" and not cpu.fused_convolutions(torch.bfloat16):
        why = "this processor has no convolutions in bfloat16, and would take a hundred times as long"
    return replace(info, notes=(*info.notes, f"{info.name} runs in float32, not as IOPAINT_PRECISION says: {why}."))


def build(
    state: State, device: torch.device, precision: Precision, reference: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Generator | None, str]:
    """The fastest generator that agrees with ``reference``, or None and the reason."""
    why = ""
    with torch.inference_mode():
        for kind in _kinds(device, precision):
            try:
                generator = Generator(generator_state(state), kind)
                why = disagreement(generator, reference, device)
            except NotLama as error:
                return None, str(error)
            except (KeyError, RuntimeError) as error:  # tensors that are missing or of other shapes
                return None, f"its layers are not those of the published architecture ({type(error).__name__})"
            if not why:
                return generator, ""
            log.warning("own generator disagrees with the file", extra={"kind": str(kind), "why": why})
    return None, why


def _load_script(name: str, device: str, path: Path, precision: Precision) -> LamaEngine | str:
    """Or why our own generator does not do what this file does."""
    where = place(name, device)
    script = read_script(name, path, torch.device(where.device))
    generator, why = build(script.state_dict(), torch.device(where.device), precision, script)
    if generator is None:
        return why
    return LamaEngine(generator, _told(EngineInfo(name, where.device, sha256(path), where.notes), generator, precision))


def _load_checkpoint(name: str, device: str, path: Path, precision: Precision) -> LamaEngine:
    """A checkpoint has no module to compare with: bfloat16 is held against float32, whose parity tests show."""
    where = torch.device("cpu" if device == "mps" else device)
    try:
        with torch.inference_mode():
            state = read_checkpoint(path)
            exact = Generator(generator_state(state), Kind(where, torch.float32))
            generator, why = build(state, where, precision, lambda image, mask: fill(exact, image, mask.float()))
    except (NotLama, KeyError, RuntimeError) as error:
        raise BadWeights(path) from error
    info = EngineInfo(name, str(where), sha256(path), (why,) if why else ())
    return LamaEngine(generator or exact, _told(info, generator or exact, precision))


def _kinds(device: torch.device, precision: Precision) -> list[Kind]:
    """The fastest first."""
    faster = (True, False) if device.type == "cpu" else (False,)
    return [Kind(device, dtype, winograd) for dtype in _dtypes(device, precision) for winograd in faster]


def _dtypes(device: torch.device, precision: Precision) -> tuple[torch.dtype, ...]:
    """The fastest first; float32 always remains."""
    if device.type == "cpu":
        able = cpu.fast_bfloat16() if precision == "auto" else cpu.fused_convolutions(torch.bfloat16)
    else:
        able = precision == "bfloat16" or device.type == "cuda"
    return (torch.float32,) if precision == "float32" or not able else (torch.bfloat16, torch.float32)


def _padding(size: int) -> tuple[int, int]:
    return 0, max(_MIN_PX, -(-size // _PAD_PX) * _PAD_PX) - size
