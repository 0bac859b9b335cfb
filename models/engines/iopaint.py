"""IOPaint's erase models behind our interface: its classes load the local file and do the forward pass.

The whole window goes through IOPaint's own padding and forward pass, so the pixels equal those of IOPaint's
``Original`` strategy on the same window.
"""

import importlib
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
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

    @property
    def model(self) -> Any:
        """IOPaint's instance, for those that hold something against it."""
        return self._model

    def with_note(self, note: str) -> Self:
        return type(self)(self._model, replace(self._info, notes=(*self._info.notes, note)))

    def steps(self, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        from iopaint.schema import HDStrategy, InpaintRequest, LDMSampler

        # ldm has steps and a sampler of its own, ddim and plms; the others read neither.
        sampler = LDMSampler.plms if options.sampler.lower() == "plms" else LDMSampler.ddim
        request = InpaintRequest(hd_strategy=HDStrategy.ORIGINAL, ldm_steps=options.steps, ldm_sampler=sampler)
        with torch.inference_mode():
            # Copies, because some of IOPaint's models write into their inputs.
            filled_bgr = self._model(image.copy(), mask.copy(), request).astype(np.uint8)
        on_step(1, 1)
        return Filling(np.ascontiguousarray(filled_bgr[:, :, ::-1]))

    def close(self) -> None:
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


_MODULES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "lama": ("lama", "LaMa", ("LAMA_MODEL",)),
    "anime-lama": ("lama", "AnimeLaMa", ("ANIME_LAMA_MODEL",)),
    "ldm": ("ldm", "LDM", ("LDM_ENCODE_MODEL", "LDM_DECODE_MODEL", "LDM_DIFFUSION_MODEL")),
    "zits": (
        "zits",
        "ZITS",
        ("ZITS_INPAINT_MODEL", "ZITS_EDGE_LINE_MODEL", "ZITS_STRUCTURE_UPSAMPLE_MODEL", "ZITS_WIRE_FRAME_MODEL"),
    ),
    "mat": ("mat", "MAT", ("MAT_MODEL",)),
    "fcf": ("fcf", "FcF", ("FCF_MODEL",)),
    "manga": ("manga", "Manga", ("MANGA_INPAINTOR_MODEL", "MANGA_LINE_MODEL")),
    "migan": ("mi_gan", "MIGAN", ("MIGAN_MODEL",)),
}
"""Name: IOPaint's module, class, and the prefixes of its ``*_URL`` and ``*_MD5`` constants, the main file first."""

NAMES = tuple(_MODULES)


def files(name: str) -> dict[str, WeightsFile]:
    """The weights files of one of ``NAMES``, by the constant that holds the URL in IOPaint's module."""
    module_name, _, prefixes = _MODULES[name]
    module = importlib.import_module(f"iopaint.model.{module_name}")
    return {
        f"{prefix}_URL": WeightsFile(getattr(module, f"{prefix}_URL"), getattr(module, f"{prefix}_MD5"))
        for prefix in prefixes
    }


def main_file(name: str) -> WeightsFile:
    return next(iter(files(name).values()))


def load(name: str, device: str, store: WeightsStore) -> IOPaintEngine:
    """One of ``NAMES``. Raises ``ModelUnavailable`` when a file cannot be had or does not load."""
    module_name, class_name, _ = _MODULES[name]
    module = importlib.import_module(f"iopaint.model.{module_name}")
    helper = importlib.import_module("iopaint.helper")
    # As iopaint/api.py does: the profiling executor makes the second run of every new shape slow.
    torch._C._jit_set_profiling_executor(False)
    torch._C._jit_set_profiling_mode(False)
    paths = {constant: store.ensure(name, file) for constant, file in files(name).items()}

    with _LOADING, ExitStack() as patches:
        # IOPaint's loaders read a local file when the URL constant is a path. Told that a file does not load, they
        # delete it and end the process; a service must do neither.
        for constant, path in paths.items():
            _patch(patches, module, constant, str(path))
        _patch(patches, helper, "handle_error", _raise_bad_file)
        try:
            model = getattr(module, class_name)(torch.device(device))
        except _BadFile as error:
            bad = store.set_aside(error.path)
            raise ModelUnavailable(
                f"the weights file {error.path.name} of {name} does not load; it was renamed to {bad.name} "
                "and will be fetched again."
            ) from error
    notes: tuple[str, ...] = ()
    if str(model.device) != device and device == "mps":
        notes = (f"IOPaint runs {name} on the CPU instead of mps.",)
    return IOPaintEngine(model, EngineInfo(name, str(model.device), sha256(next(iter(paths.values()))), notes))


_LOADING = threading.Lock()
"""Held while IOPaint's modules are patched."""


class _BadFile(Exception):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


def _raise_bad_file(model_path: str, model_md5: str, error: Exception) -> None:
    raise _BadFile(Path(model_path)) from error


def _patch(patches: ExitStack, module: Any, name: str, value: object) -> None:
    patches.callback(setattr, module, name, getattr(module, name))
    setattr(module, name, value)
