"""IOPaint's erase models behind our interface: its classes load the local file and do the forward pass.

The whole window goes through IOPaint's own padding and forward pass, so the pixels equal those of IOPaint's
``Original`` strategy on the same window.
"""

import importlib
import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import torch

from models.catalog import ERASE, LDM_SAMPLERS, SEEDED
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.placing import place
from models.engines.torchscript import refuse, without_profiling
from models.errors import WorkCancelled
from models.job import DiffusionOptions
from models.options import check, sampler_of
from models.weights import Sources, WeightsStore, sha256, weights_files
from models.windows import WindowSizes

_ONE_SIZE = ("fcf", "migan")
"""IOPaint shrinks what is larger, and then runs once for each spot of the mask: its margin around it is 128 pixels."""


class IOPaintEngine:
    """One of IOPaint's single-pass models. ``model`` is an instance of its ``InpaintModel``."""

    def __init__(self, model: Any, info: EngineInfo) -> None:
        self._model = model
        self._info = info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def with_note(self, note: str) -> Self:
        return type(self)(self._model, replace(self._info, notes=(*self._info.notes, note)))

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        return 1

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        filled = self._forward(image, mask, options.seed)
        on_step(1, 1)
        return filled

    def close(self) -> None:
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _forward(self, image: Image, mask: Mask, seed: int, **request: Any) -> Filling:
        from iopaint.schema import HDStrategy, InpaintRequest

        # ldm's noise and mat's dropout, which it has on at all times, come from the process's generator.
        torch.manual_seed(max(0, seed))
        with torch.inference_mode():
            # Copies, because some of IOPaint's models write into their inputs.
            filled_bgr = self._model(
                image.copy(), mask.copy(), InpaintRequest(hd_strategy=HDStrategy.ORIGINAL, **request)
            ).astype(np.uint8)
        return Filling(np.ascontiguousarray(filled_bgr[:, :, ::-1]))


class LdmEngine(IOPaintEngine):
    """Latent diffusion: one unit is one call of its network, after which the work can stop."""

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        """As IOPaint's ``make_ddim_timesteps`` spaces them over 1000; ``plms`` looks ahead once more."""
        check(self._info.name, options)
        spaced = len(range(0, 1000, 1000 // options.steps))
        return spaced + (sampler_of(options.sampler, LDM_SAMPLERS) == "plms")

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        total, done = self.units(mask, options), 0
        latent = self._model.model
        apply_model = type(latent).apply_model

        def counted(*args: Any) -> Any:
            nonlocal done
            if should_stop():
                raise WorkCancelled("Cancelled between two diffusion steps.")
            result = apply_model(latent, *args)
            done += 1
            on_step(min(done, total), total)
            return result

        latent.apply_model = counted
        return self._forward(
            image, mask, options.seed, ldm_steps=options.steps, ldm_sampler=sampler_of(options.sampler, LDM_SAMPLERS)
        )


def load(name: str, device: str, store: WeightsStore, sources: Sources | None = None) -> IOPaintEngine:
    """One of ``ERASE``. Raises ``ModelUnavailable`` when a file cannot be had or does not load."""
    return store.replacing_bad_files(name, lambda: _load(name, device, store, sources))


def _load(name: str, device: str, store: WeightsStore, sources: Sources | None) -> IOPaintEngine:
    module = importlib.import_module(f"iopaint.model.{ERASE[name].module}")
    helper = importlib.import_module("iopaint.helper")
    without_profiling()
    paths = {constant: store.ensure(name, file) for constant, file in weights_files(name, sources).items()}
    # Decided here, because two of IOPaint's classes forget it: their weights and their inputs would part.
    where = place(name, device)

    with _LOADING, ExitStack() as patches:
        # IOPaint's loaders read a local file when the URL constant is a path. Told that a file does not load, they
        # delete it and end the process; a service must do neither.
        for constant, path in paths.items():
            _patch(patches, module, constant, str(path))
        _patch(patches, helper, "handle_error", partial(_raise_bad_file, name))
        model = getattr(module, ERASE[name].class_name)(torch.device(where.device))
    if name == "ldm":
        _quieten()
    info = EngineInfo(
        name, where.device, sha256(next(iter(paths.values()))), where.notes, seeded=name in SEEDED,
        sizes=sizes_of(model, shrinks=name in _ONE_SIZE),
    )  # fmt: skip
    return (LdmEngine if name == "ldm" else IOPaintEngine)(model, info)


def sizes_of(model: Any, *, shrinks: bool = False, trained_px: int = 1) -> WindowSizes:
    """As IOPaint's class says what it fills up to; ``shrinks``: and that it never runs over more."""
    min_px = model.min_size or 1
    return WindowSizes(model.pad_mod, min_px, model.pad_to_square, min_px if shrinks else None, trained_px)


_LOADING = threading.Lock()
"""Held while IOPaint's modules are patched."""


def _raise_bad_file(name: str, model_path: str, model_md5: str, error: Exception) -> NoReturn:
    refuse(name, Path(model_path), error)


def _patch(patches: ExitStack, module: Any, name: str, value: object) -> None:
    patches.callback(setattr, module, name, getattr(module, name))
    setattr(module, name, value)


def _quieten() -> None:
    """Its samplers draw a progress bar each time, which is for a terminal and not for a service's log."""
    for sampler in ("ddim_sampler", "plms_sampler"):
        module: Any = importlib.import_module(f"iopaint.model.{sampler}")
        module.tqdm = _without_bar


def _without_bar(steps: Any, **_: Any) -> Any:
    return steps
