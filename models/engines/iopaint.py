"""IOPaint's erase models behind our interface: its classes load the local file and do the forward pass.

The whole window goes through IOPaint's own padding and forward pass, so the pixels equal those of IOPaint's
``Original`` strategy on the same window.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.engine import EngineInfo, Image, Mask, OnStep, ShouldStop
from models.errors import ModelUnavailable
from models.job import DiffusionOptions
from models.weights import WeightsFile, WeightsStore, sha256


class IOPaintEngine:
    """One of IOPaint's single-pass models. ``model`` is an instance of its ``InpaintModel``."""

    def __init__(self, model: Any, info: EngineInfo) -> None:
        self._model = model
        self._info = info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def steps(self, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Image:
        from iopaint.schema import HDStrategy, InpaintRequest

        request = InpaintRequest(hd_strategy=HDStrategy.ORIGINAL)
        with torch.inference_mode():
            # Copies, because some of IOPaint's models write into their inputs.
            filled_bgr = self._model(image.copy(), mask.copy(), request).astype(np.uint8)
        on_step(1, 1)
        return np.ascontiguousarray(filled_bgr[:, :, ::-1])

    def close(self) -> None:
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def load_lama(name: str, device: str, store: WeightsStore) -> IOPaintEngine:
    """``lama`` or ``anime-lama``, from IOPaint's TorchScript file."""
    from iopaint.model import lama

    # As iopaint/api.py does: the profiling executor makes the second run of every new shape slow.
    torch._C._jit_set_profiling_executor(False)
    torch._C._jit_set_profiling_mode(False)
    classes: dict[str, tuple[Any, str]] = {"lama": (lama.LaMa, "LAMA"), "anime-lama": (lama.AnimeLaMa, "ANIME_LAMA")}
    model_class, prefix = classes[name]
    url_name = f"{prefix}_MODEL_URL"
    file = WeightsFile(getattr(lama, url_name), getattr(lama, f"{prefix}_MODEL_MD5"))
    path = store.ensure(name, file)

    def construct() -> Any:
        # IOPaint's loader reads a local path when its URL constant is one.
        original = getattr(lama, url_name)
        setattr(lama, url_name, str(path))
        try:
            return model_class(torch.device(device))
        finally:
            setattr(lama, url_name, original)

    model = _guarded(construct, name, path, store)
    return IOPaintEngine(model, EngineInfo(name, str(model.device), sha256(path)))


def _guarded(construct: Callable[[], Any], name: str, path: Path, store: WeightsStore) -> Any:
    try:
        return construct()
    # IOPaint ends the process (SystemExit) when a file does not load; a service must not.
    except (SystemExit, RuntimeError) as error:
        bad = store.set_aside(path)
        raise ModelUnavailable(
            f"the weights file {path.name} of {name} does not load; it was renamed to {bad.name} "
            "and will be fetched again."
        ) from error
