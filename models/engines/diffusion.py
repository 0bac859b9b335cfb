"""IOPaint's Stable Diffusion models behind our interface: its classes build the pipeline and run it, step by step."""

import json
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.catalog import SAMPLERS
from models.engine import EngineInfo, Filling, Image, Mask, OnStep, ShouldStop
from models.engines.iopaint import sizes_of
from models.engines.placing import place
from models.errors import InvalidField, ModelUnavailable, WorkCancelled
from models.hub import PipelineStore
from models.job import DiffusionOptions
from models.options import check, sampler_of
from models.weights import sha256

SDXL_VAE = "madebyollin/sdxl-vae-fp16-fix"
"""IOPaint runs all SDXL models with it: their own VAE overflows in float16."""

_TYPES = {
    "StableDiffusionPipeline": "diffusers_sd",
    "StableDiffusionInpaintPipeline": "diffusers_sd_inpaint",
    "StableDiffusionXLPipeline": "diffusers_sdxl",
    "StableDiffusionXLInpaintPipeline": "diffusers_sdxl_inpaint",
}
"""The pipeline's class in ``model_index.json``: IOPaint's ``ModelType``."""
_XL_TRAINED_PX = 1024
"""Podell et al. 2023, "SDXL": pictures of about 1024 x 1024; IOPaint's class takes 512, too."""
_XL_FULL_STRENGTH = 0.999
"""What IOPaint's ``SDXL`` runs with when 1 is asked for."""


class DiffusionEngine:
    """One unit is one denoising step, after which the work can stop. Same request, same pixels, whatever ran before."""

    def __init__(self, model: Any, info: EngineInfo) -> None:
        """``model``: IOPaint's ``SD`` or ``SDXL``."""
        self._model = model
        self._info = info
        # IOPaint derives each scheduler from the last one used, which would make results depend on earlier requests.
        self._scheduler = model.model.scheduler
        self._set_scheduler = model.set_scheduler
        model.model.set_progress_bar_config(disable=True)

    @property
    def info(self) -> EngineInfo:
        return self._info

    def units(self, mask: Mask, options: DiffusionOptions) -> int:
        """Of the sampler, shortened by the strength, as diffusers' ``get_timesteps`` counts them.

        Samplers of the second order have nearly two for each that was asked for.
        """
        from iopaint.model.utils import get_scheduler

        check(self._info.name, options)
        sampler = sampler_of(options.sampler, SAMPLERS)
        scheduler = get_scheduler(sampler, self._scheduler.config)
        try:
            scheduler.set_timesteps(options.steps)
        except (ValueError, IndexError) as error:  # PNDM needs four at least, LCM takes no more than it was taught
            raise InvalidField(f"sd_steps: {sampler} cannot do {options.steps} steps.", field="sd_steps") from error
        strength = options.strength
        if self._is_xl and strength == 1:
            strength = _XL_FULL_STRENGTH
        skipped = options.steps - min(int(options.steps * strength), options.steps)
        count: int = len(scheduler.timesteps) - skipped * scheduler.order
        return count

    def run(
        self, image: Image, mask: Mask, options: DiffusionOptions, on_step: OnStep, should_stop: ShouldStop
    ) -> Filling:
        from iopaint.schema import InpaintRequest

        total = self.units(mask, options)
        request = InpaintRequest(
            prompt=options.prompt,
            negative_prompt=options.negative_prompt,
            sd_seed=max(0, options.seed),
            sd_steps=options.steps,
            sd_strength=options.strength,
            sd_guidance_scale=options.guidance_scale,
            sd_sampler=sampler_of(options.sampler, SAMPLERS),
            # IOPaint's soft edge lies inside the mask and would let what is to be removed shine through.
            sd_mask_blur=0,
        )
        done = 0

        def step_ended() -> None:
            nonlocal done
            if should_stop():
                raise WorkCancelled("Cancelled between two diffusion steps.")
            done += 1
            on_step(min(done, total), total)

        def set_scheduler(config: Any) -> None:
            self._set_scheduler(config)
            _after_each_step(self._model.model.scheduler, step_ended)

        self._model.model.scheduler = self._scheduler
        self._model.set_scheduler = set_scheduler
        with torch.inference_mode():
            filled_bgr = self._model(image.copy(), mask.copy(), request).astype(np.uint8)
        return Filling(np.ascontiguousarray(filled_bgr[:, :, ::-1]))

    def close(self) -> None:
        del self._model, self._set_scheduler
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @property
    def _is_xl(self) -> bool:
        return hasattr(self._model.model, "text_encoder_2")


def load(name: str, device: str, store: PipelineStore, *, low_mem: bool, cpu_offload: bool) -> DiffusionEngine:
    """``name``: as ``catalog.is_diffusion`` allows. Raises ``ModelUnavailable``.

    Always without the NSFW checker, which answers a false alarm with a black picture.
    """
    from iopaint.model import SD, SDXL
    from iopaint.schema import ModelInfo, ModelType

    folder = store.ensure(name)
    kind = _pipeline_of(folder)
    if kind not in _TYPES:
        raise ModelUnavailable(
            f"{name} is a {kind or 'folder without a pipeline'}; only these run here: {', '.join(_TYPES)}."
        )
    place_ = place(name, device)
    xl = "XL" in kind
    parts, notes = _vae(name, store) if xl else ({}, ())
    model_info = ModelInfo(name=name, path=str(folder), model_type=ModelType(_TYPES[kind]))
    try:
        with _LOADING:
            model = (SDXL if xl else SD)(
                torch.device(place_.device),
                model_info=model_info,
                pipe_components=parts,
                disable_nsfw=True,
                low_mem=low_mem,
                cpu_offload=cpu_offload,
                sd_cpu_textencoder=False,
                local_files_only=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelUnavailable(f"the pipeline of {name} does not load: {_first_line(error)}.") from error
    sizes = sizes_of(model, trained_px=_XL_TRAINED_PX if xl else 1)
    info = EngineInfo(name, place_.device, _main_sha256(folder), place_.notes + notes, seeded=True, sizes=sizes)
    return DiffusionEngine(model, info)


_LOADING = threading.Lock()
"""Loading sets defaults of the whole process for a while."""


def _after_each_step(scheduler: Any, then: Callable[[], None]) -> None:
    """The one place that every pipeline passes; ``wraps``, because pipelines look at the method's signature."""
    step = scheduler.step

    @wraps(step)
    def counted(*args: Any, **kwargs: Any) -> Any:
        result = step(*args, **kwargs)
        then()
        return result

    scheduler.step = counted


def _pipeline_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / "model_index.json").read_text()).get("_class_name", ""))
    except (OSError, ValueError):
        return ""


def _vae(name: str, store: PipelineStore) -> tuple[dict[str, Any], tuple[str, ...]]:
    """As IOPaint does, the one that stands float16; the model's own where that cannot be had."""
    import diffusers

    kind: Any = diffusers.AutoencoderKL
    try:
        return {"vae": kind.from_pretrained(store.ensure(SDXL_VAE))}, ()
    except ModelUnavailable:
        own = kind.from_pretrained(store.ensure(name), subfolder="vae")
        return {"vae": own}, (f"{name} runs with its own VAE, because {SDXL_VAE} is not there.",)


def _main_sha256(folder: Path) -> str | None:
    """Of the network that does the work."""
    files = sorted((folder / "unet").glob("diffusion_pytorch_model*.safetensors")) or sorted(
        (folder / "unet").glob("diffusion_pytorch_model*.bin")
    )
    return sha256(next((file for file in files if "fp16" in file.name), files[0])) if files else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
