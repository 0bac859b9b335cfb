"""Every model of IOPaint in one service, end to end: its real class on the real file format, by name and over HTTP."""

import base64
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from models.catalog import ERASE
from models.codec import decode
from models.geometry import Rect
from models.masks import regions_to_mask
from tests.support.erase_models import save_all
from tests.support.pictures import encoded, photo
from tests.support.pipelines import save_sd, save_sdxl
from tests.support.service import Service, running

SD, SDXL, OWN = "runwayml/stable-diffusion-inpainting", "diffusers/stable-diffusion-xl-1.0-inpainting-0.1", "my/painter"
PIXELS = photo(160, 101)
REGION = {"x": 60, "y": 30, "width": 40, "height": 20}
MASK = regions_to_mask([Rect(60, 30, 40, 20)], 160, 101) > 0
BODY = {"image": base64.b64encode(encoded(PIXELS)).decode(), "regions": [REGION], "sd_steps": 2}
MAT_AND_NOT_FCF = 400_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("models")
    weights = save_all(folder / "weights")
    save_sd(weights / SD)
    save_sd(weights / OWN, seed=1)
    save_sdxl(weights / SDXL)
    names = ",".join(["cv2", *ERASE, SD, SDXL, OWN])
    with running(
        folder,
        MODEL_DIR=str(weights),
        IOPAINT_MODELS=names,
        MODEL_MEMORY_BYTES=str(MAT_AND_NOT_FCF),
        HF_HUB_OFFLINE="1",
    ) as made:
        yield made


def post(service: Service, **extra: Any) -> requests.Response:
    return requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY | extra, timeout=280)


def filled(answer: requests.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    return decode(answer.content, max_pixels=10**6).rgb


@pytest.mark.parametrize("model", [*ERASE, "cv2", SD, SDXL, OWN])
def test_a_model_fills_the_mask_and_nothing_else(service: Service, model: str) -> None:
    answer = post(service, model=model)
    pixels = filled(answer)
    assert answer.headers["x-model"] == model
    assert np.array_equal(pixels[~MASK], PIXELS[~MASK])
    assert (pixels[MASK] != PIXELS[MASK]).mean() > 0.5
    assert ("x-seed" in answer.headers) == (model in ("ldm", "mat", SD, SDXL, OWN))
    notes = answer.headers.get("x-notes", "")
    assert ("VAE" in notes) == (model == SDXL)


@pytest.mark.parametrize("model", ["ldm", SD])
def test_the_same_request_gives_the_same_pixels_and_its_seed_is_told(service: Service, model: str) -> None:
    first, again = post(service, model=model), post(service, model=model)
    assert np.array_equal(filled(first), filled(again))
    told = post(service, model=model, sd_seed=int(first.headers["x-seed"]), sd_sampler="DDIM")
    assert np.array_equal(filled(first), filled(told))
    assert not np.array_equal(filled(first), filled(post(service, model=model, sd_seed=5)))


def test_what_was_asked_for_decides_the_pixels(service: Service) -> None:
    # A strong guidance, because random text encoders hardly tell one prompt from another.
    base: dict[str, Any] = {"model": SD, "sd_seed": 5, "sd_steps": 3, "sd_guidance_scale": 60}
    plain = filled(post(service, **base))
    changes: list[dict[str, Any]] = [
        {"prompt": "a wall"}, {"prompt": "a wall", "sd_guidance_scale": 9}, {"negative_prompt": "text"},
        {"sd_sampler": "euler A"}, {"sd_strength": 0.7}, {"sd_steps": 2},
    ]  # fmt: skip
    pictures = [filled(post(service, **(base | change))) for change in changes]
    different = {picture.tobytes() for picture in [plain, *pictures]}
    assert len(different) == 1 + len(changes)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"model": SD, "sd_sampler": "best"}, "DPM++ 2M Karras"),
        ({"model": "ldm", "sd_sampler": "Euler"}, "ddim, plms"),
        ({"model": SD, "sd_strength": 0.1}, "sd_strength"),
        ({"model": "someone/elses"}, SD),
    ],
)
def test_what_a_model_cannot_do_is_told(service: Service, wrong: dict[str, Any], told: str) -> None:
    answer = post(service, **wrong)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_steps_are_the_units_of_a_task(service: Service) -> None:
    body = BODY | {"model": SD, "sd_steps": 4, "sd_sampler": "heun"}
    task = requests.post(f"{service.url}/api/v1/inpaint-regions-async", json=body, timeout=30).json()["task_id"]
    end = time.monotonic() + 200
    while time.monotonic() < end:
        status = requests.get(f"{service.url}/api/v1/task-status/{task}", timeout=30).json()
        if status["status"] not in ("pending", "preparing", "processing"):
            break
        time.sleep(0.3)
    assert status["status"] == "completed", status
    cancelled = requests.post(f"{service.url}/api/v1/cancel-task/{task}", timeout=30)
    assert cancelled.status_code == 409
    stats = requests.get(f"{service.url}/api/v1/tasks/{task}/stats", timeout=30).json()
    assert stats["units_total"] == 7  # of the second order: two calls of the network for each step but the last


def test_the_least_recently_used_model_went(service: Service) -> None:
    """Both are held by one replica in turn, in a budget that holds one of them."""
    post(service, model="mat", sd_steps=1)
    post(service, model="fcf")
    log = service.log.read_text()
    assert "engine let go" in log
