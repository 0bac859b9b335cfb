"""Stable Diffusion engines without a service: steps, stopping, and that no request depends on the one before."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.catalog import ERASE, SAMPLERS, WEIGHTS_VARIABLES, is_diffusion
from models.engine import InpaintEngine
from models.errors import InvalidField, ModelUnavailable, WorkCancelled
from models.geometry import Rect
from models.job import DiffusionOptions
from models.masks import regions_to_mask
from models.memory import held_bytes
from models.options import check
from models.registry import EngineConfig, is_known, load_engine
from tests.support.pictures import photo
from tests.support.pipelines import save_sd

IMAGE = photo(101, 67)
MASK = regions_to_mask([Rect(20, 20, 40, 15)], 101, 67)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> InpaintEngine:
    folder = tmp_path_factory.mktemp("models")
    save_sd(folder / "a" / "b")
    return load_engine("a/b", EngineConfig("cpu", str(folder)))


def run(engine: InpaintEngine, stop_after: int = 99, **options: Any) -> tuple[Any, list[tuple[int, int]]]:
    steps: list[tuple[int, int]] = []
    asked = DiffusionOptions(seed=1, **options)
    filled = engine.run(
        IMAGE, MASK, asked, lambda done, total: steps.append((done, total)), lambda: len(steps) >= stop_after
    )
    assert len(steps) == engine.units(MASK, asked)
    return filled.image, steps


@pytest.mark.parametrize(("sampler", "steps", "strength", "units"), [("ddim", 3, 1.0, 3), ("HEUN", 3, 0.7, 3)])
def test_every_step_is_a_unit(engine: InpaintEngine, sampler: str, steps: int, strength: float, units: int) -> None:
    _, told = run(engine, sampler=sampler, steps=steps, strength=strength)
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)]
    assert len(told) == units


@pytest.mark.parametrize(("sampler", "steps"), [("PNDM", 2), ("LCM", 900)])
def test_a_number_of_steps_that_a_sampler_cannot_do_is_told(engine: InpaintEngine, sampler: str, steps: int) -> None:
    with pytest.raises(InvalidField, match=f"sd_steps: {sampler} cannot do {steps} steps"):
        engine.units(MASK, DiffusionOptions(sampler=sampler, steps=steps))


def test_it_stops_between_two_steps(engine: InpaintEngine) -> None:
    with pytest.raises(WorkCancelled):
        run(engine, stop_after=1, steps=20)


def test_the_sampler_of_an_earlier_request_leaves_no_trace(engine: InpaintEngine) -> None:
    before, _ = run(engine, steps=2)
    run(engine, steps=1, sampler="DPM++ 2M SDE Karras")
    after, _ = run(engine, steps=2)
    assert np.array_equal(before, after)
    assert engine.info.weights_sha256
    assert held_bytes(engine) > 100_000


def test_the_names_are_iopaints() -> None:
    from iopaint.model import models
    from iopaint.schema import SDSampler

    assert {sampler.value for sampler in SDSampler} == set(SAMPLERS)
    assert set(ERASE) == {name for name, model in models.items() if model.is_erase_model} - {"cv2"}
    assert len(WEIGHTS_VARIABLES) == 2 * 14
    for model in ERASE.values():
        module = importlib.import_module(f"iopaint.model.{model.module}")
        for prefix in model.files:
            assert model.published(prefix) == (getattr(module, f"{prefix}_URL"), getattr(module, f"{prefix}_MD5"))


@pytest.mark.parametrize("name", ["a/../b", "/etc/passwd", "../up", "a/b/c", "a/", "lamma"])
def test_what_is_no_name_of_a_model(name: str) -> None:
    assert not is_diffusion(name)
    assert not is_known(name)


def test_only_models_that_read_the_parameters_judge_them() -> None:
    odd = DiffusionOptions(sampler="nonsense", steps=900, strength=0.0)
    check("lama", odd)
    for model in ("ldm", "a/b"):
        with pytest.raises(InvalidField, match="sd_sampler"):
            check(model, odd)
    with pytest.raises(InvalidField, match="at most 500"):
        check("ldm", DiffusionOptions(steps=501))


def test_a_folder_that_is_no_pipeline_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ModelUnavailable, match=r"FluxPipeline.*StableDiffusionInpaintPipeline"):
        load_engine("a/b", EngineConfig("cpu", str(tmp_path)))


def test_offline_it_says_where_the_folder_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelUnavailable, match="MODEL_DIR/nobody/nothing"):
        load_engine("nobody/nothing", EngineConfig("cpu", str(tmp_path)))
