"""Every call of the contract against the application with fakes: bodies by golden files, limits at and one above."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from fastapi.testclient import TestClient

from deployments.errors import QueueFull
from deployments.tasks import TaskStatus
from ingress import presenters
from ingress.app import create_app
from models.errors import ModelUnavailable
from models.geometry import Polygon, Rect
from models.job import HDStrategy, MaskMode, MaskOptions
from tests.support import golden
from tests.support.fakes import STATS, config, services
from tests.support.pictures import b64, encoded, photo

IMAGE = encoded(photo())
REGION = {"x": 10, "y": 20, "width": 30, "height": 20}
BODY: dict[str, Any] = {"image": b64(IMAGE), "regions": [REGION]}


class Api:
    def __init__(self, **settings: object) -> None:
        made, self.inpainter, self.tasks = services()
        self.client = TestClient(create_app(made, config(**settings)), raise_server_exceptions=False)

    def post(self, path: str, body: dict[str, Any], **options: Any) -> Any:
        return self.client.post(f"/api/v1/{path}", json=body, **options)

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1/{path}")


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    with made.client:
        yield made


@pytest.mark.parametrize("path", ["/", "/api/v1/health", "/api/v1/model", "/api/v1/info", "/api/v1/tasks"])
def test_core(api: Api, path: str) -> None:
    response = api.client.get(path)
    assert response.status_code == 200
    golden.check(path.rsplit("/", 1)[1] or "root", response.json())


@pytest.mark.parametrize("status", ["starting", "unhealthy"])
def test_not_healthy_is_503(api: Api, status: str) -> None:
    api.tasks.service = replace(api.tasks.service, status=status)
    response = api.get("health")
    assert (response.status_code, response.json()["status"]) == (503, status)


def test_the_image_and_its_headers(api: Api) -> None:
    response = api.post("inpaint-regions", BODY)
    assert (response.status_code, response.content) == (200, IMAGE)
    headers = response.headers
    assert headers["content-type"] == "image/png"
    assert headers["content-disposition"] == "inline; filename=inpainted.png"
    assert (headers["x-regions-count"], headers["x-total-area"]) == ("1", "600")
    assert (headers["x-model"], headers["x-hd-strategy"], headers["x-processing-time"]) == ("cv2", "Auto", "0.250")
    assert "x-timestamp" in headers
    assert "x-request-id" in headers
    plain = api.post("inpaint", {"image": b64(IMAGE), "mask": b64(IMAGE)})
    assert "x-regions-count" not in plain.headers


def test_statistics(api: Api) -> None:
    golden.check("inpaint-regions-json", api.post("inpaint-regions-json", BODY).json())


def test_parameters_reach_the_job(api: Api) -> None:
    polygon = {"points": [[1, 2], [30, 4], [5, 60]]}
    parameters = {
        "sd_seed": 42, "sd_steps": 20, "sd_strength": 0.8, "sd_guidance_scale": 3, "sd_sampler": "DDIM",
        "hd_strategy": "Crop", "hd_strategy_crop_trigger_size": 1024, "hd_strategy_crop_margin": 16,
        "hd_strategy_resize_limit": 999, "prompt": "sea", "negative_prompt": "text", "model": "fake",
        "output_format": "webp", "quality": 90, "something_unknown": 1,
    }  # fmt: skip
    assert api.post("inpaint-regions", BODY | parameters | {"regions": [REGION, polygon]}).status_code == 200
    job = api.inpainter.jobs[-1]
    assert job.regions == (Rect(10, 20, 30, 20), Polygon(((1, 2), (30, 4), (5, 60))))
    assert (job.model, job.hd.strategy, job.hd.crop_trigger_size, job.hd.crop_margin) == ("fake", "Crop", 1024, 16)
    assert (job.hd.resize_limit, job.output.format, job.output.quality) == (999, "webp", 90)
    diffusion = job.diffusion
    assert (diffusion.seed, diffusion.steps, diffusion.strength, diffusion.guidance_scale) == (42, 20, 0.8, 3)
    assert (diffusion.sampler, diffusion.prompt, diffusion.negative_prompt) == ("DDIM", "sea", "text")


def test_masking_reaches_the_job(api: Api) -> None:
    sent = {"mask_mode": "auto", "mask_dilate_px": 3, "mask_feather_px": 9, "output": "overlay"}
    assert api.post("inpaint-regions", BODY | sent).status_code == 200
    job = api.inpainter.jobs[-1]
    assert job.masking == MaskOptions(MaskMode.AUTO, dilate_px=3, feather_px=3)
    assert job.output.kind == "overlay"
    assert api.post("inpaint-regions", BODY | {"mask_mode": "letters"}).status_code == 422
    assert api.post("inpaint-regions", BODY | {"mask_dilate_px": 65}).status_code == 422


def test_the_operators_mask_mode_holds_unless_a_client_says_otherwise() -> None:
    api = Api(default_mask_mode="strokes")
    api.post("inpaint-regions", BODY)
    api.post("inpaint-regions", BODY | {"mask_mode": "box"})
    assert [job.masking.mode for job in api.inpainter.jobs] == [MaskMode.STROKES, MaskMode.BOX]


def test_the_verdict_is_in_a_header(api: Api) -> None:
    assert api.post("inpaint-regions", BODY).headers["X-Erased"] == "1/1"


def test_the_operators_strategy_overrules() -> None:
    api = Api(hd_strategy="Auto")
    api.post("inpaint-regions", BODY | {"hd_strategy": "Original"})
    assert api.inpainter.jobs[0].hd.strategy is HDStrategy.AUTO


def test_a_form_is_the_same_job(api: Api) -> None:
    api.post("inpaint-regions", BODY | {"sd_seed": 7})
    files = {"image": ("a.png", IMAGE)}
    data = {"regions": json.dumps([REGION]), "sd_seed": "7"}
    assert api.client.post("/api/v1/inpaint-regions", files=files, data=data).status_code == 200
    assert api.inpainter.jobs[0] == api.inpainter.jobs[1]


def test_the_life_of_a_task(api: Api) -> None:
    body = BODY | {"task_id": "t-1"}
    accepted = api.post("inpaint-regions-async", body)
    assert accepted.status_code == 202
    golden.check("accepted", accepted.json())
    golden.check("task-pending", api.get("task-status/t-1").json())
    assert api.post("inpaint-regions-async", body).status_code == 200
    assert api.post("inpaint-regions-async", body | {"sd_seed": 9}).status_code == 409
    assert api.get("task-result/t-1").status_code == 409
    api.tasks.move("t-1", TaskStatus.PROCESSING, 40.0, units_done=1, units_total=4)
    golden.check("task-processing", api.get("task-status/t-1").json())
    api.tasks.move("t-1", TaskStatus.COMPLETED, 100.0)
    golden.check("task-completed", api.get("task-status/t-1").json())
    result = api.get("task-result/t-1")
    assert (result.content, result.headers["x-model"]) == (IMAGE, "cv2")
    refused = api.post("cancel-task/t-1", {})
    assert refused.status_code == 409
    golden.check("error", refused.json())


def test_cancel(api: Api) -> None:
    api.post("inpaint-regions-async", BODY | {"task_id": "t-2"})
    for _ in range(2):
        response = api.post("cancel-task/t-2", {})
        assert response.status_code == 200
        golden.check("cancelled", response.json())
    golden.check("task-cancelled", api.get("task-status/t-2").json())


def test_links_follow_what_the_client_sees(api: Api) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/p"}
    answer = api.post("inpaint-regions-async", BODY | {"task_id": "t-3"}, headers=headers).json()
    assert answer["websocket_url"] == "wss://a.example/p/api/v1/ws/progress/t-3"
    for sent, scheme in (
        ("HTTPS", "wss"),
        ("Wss, http", "wss"),
        ("ws", "ws"),
        ("gopher", "ws"),
        ("javascript:x", "ws"),
    ):
        answer = api.post("inpaint-regions-async", BODY, headers={"X-Forwarded-Proto": sent}).json()
        assert answer["websocket_url"].startswith(f"{scheme}://testserver/api/v1/ws/progress/"), sent
    silent = api.post("inpaint-regions-async", BODY | {"enable_progress": False}).json()
    assert silent["websocket_url"] is None
    public = Api(public_url="https://b.example/x/")
    answer = public.post("inpaint-regions-async", BODY | {"task_id": "t-3"}, headers=headers).json()
    assert answer["websocket_url"] == "wss://b.example/x/api/v1/ws/progress/t-3"


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"regions": []}, "regions"),
    ({"regions": [REGION, {"x": 1, "y": 2, "width": 3}]}, "regions[1].height"),
    ({"regions": [{"points": [[0, 0], [1, 1]]}]}, "regions[0].points"),
    ({"regions": [REGION, {"points": [[-20, 10], [10, -20], [-20, -20]]}]}, "regions[1]"),
    ({"regions": [REGION, {"x": 400, "y": 0, "width": 5, "height": 5}]}, "regions[1]"),
    ({"regions": [REGION, {"x": 1e308, "y": 0, "width": 1e308, "height": 5}]}, "regions[1]"),
    ({"regions": [REGION, {"x": 0, "y": 0, "width": 1.1e9, "height": 5}]}, "regions[1]"),
    ({"regions": [{"points": [[10, 10], [1e19, 20], [10, 30]]}]}, "regions[0]"),
    ({"regions": [{"points": [[1, -1.7e308], [-1e15, 1.7e308], [1e307, 1], [1e200, 5]]}]}, "regions[0]"),
    ({"sd_steps": "many"}, "sd_steps"),
    ({"quality": 101}, "quality"),
    ({"output_format": "gif"}, "output_format"),
    ({"model": "mat"}, "model"),
    ({"model": "m" * 1_000_000}, "model"),
    ({"sd_sampler": "ddim" * 26}, "sd_sampler"),
    ({"regions": "x"}, "regions"),
]


@pytest.mark.parametrize(("change", "field"), BAD_FIELDS)
def test_a_wrong_value_is_422_and_names_the_field(api: Api, change: dict[str, Any], field: str) -> None:
    response = api.post("inpaint-regions", BODY | change)
    assert response.status_code == 422, response.text
    assert response.json()["detail"].startswith(field)
    assert len(response.text) < 500
    assert set(response.json()) == {"detail", "error", "request_id"}


BAD_MASKS = [
    (encoded(photo(64, 48)), 422, "mask must have the image's size, 320x240 pixels; it has 64x48."),
    (b"plain words", 415, "mask: The data is not an image of a supported format"),
    (IMAGE[:20], 400, "mask: The image is damaged"),
]


@pytest.mark.parametrize(("mask", "status", "detail"), BAD_MASKS, ids=["size", "format", "damaged"])
def test_a_mask_that_does_not_fit_is_refused_by_its_header(api: Api, mask: bytes, status: int, detail: str) -> None:
    sent = {"image": b64(IMAGE), "mask": b64(mask)}
    alone = api.post("inpaint", sent)
    assert (alone.status_code, alone.json()["detail"][: len(detail)]) == (status, detail)
    of_batch = api.post("inpaint-batch", {"items": [BODY, sent]})
    told = f"items[1]: {detail}"
    assert (of_batch.status_code, of_batch.json()["detail"][: len(told)]) == (status, told)
    assert (api.inpainter.jobs, api.tasks.tasks) == ([], {})


@pytest.mark.parametrize("task_id", [".hidden", "a/b", "a b", "x" * 129, ""])
def test_task_ids_have_a_safe_alphabet(api: Api, task_id: str) -> None:
    assert api.post("inpaint-regions-async", BODY | {"task_id": task_id}).status_code == 422
    assert api.get(f"task-status/{task_id}").status_code == 404


def test_unreadable_bodies(api: Api) -> None:
    url = "/api/v1/inpaint-regions"
    json_type = {"content-type": "application/json"}
    assert api.client.post(url, content=b"{", headers=json_type).status_code == 400
    assert api.client.post(url, content=b"[" * 100_000, headers=json_type).status_code == 400
    assert api.client.post(url, content=b"x", headers={"content-type": "text/plain"}).status_code == 415
    assert api.post("inpaint-regions", BODY | {"image": "%%%"}).status_code == 400
    assert api.post("inpaint-regions", BODY | {"image": b64(b"plain words")}).status_code == 415
    assert api.client.get("/nope").json()["error"] == "not_found"
    assert api.client.get(url).json()["error"] == "method_not_allowed"


def test_limits_at_and_one_above() -> None:
    assert Api(max_file_size=len(IMAGE)).post("inpaint-regions", BODY).status_code == 200
    assert Api(max_file_size=len(IMAGE) - 1).post("inpaint-regions", BODY).status_code == 413
    assert Api(max_pixels=320 * 240).post("inpaint-regions", BODY).status_code == 200
    assert Api(max_pixels=320 * 240 - 1).post("inpaint-regions", BODY).status_code == 413
    assert Api(max_regions=2).post("inpaint-regions", BODY | {"regions": [REGION] * 2}).status_code == 200
    assert Api(max_regions=2).post("inpaint-regions", BODY | {"regions": [REGION] * 3}).status_code == 422


def test_a_body_is_counted_while_it_arrives() -> None:
    api = Api(max_file_size=1000)
    limit = 2 * 1000 * 4 // 3 + 1_048_576

    def chunks(total: int) -> Iterator[bytes]:
        yield from (b" " * 1024 for _ in range(total // 1024))
        yield b" " * (total % 1024)

    headers = {"content-type": "application/json"}
    url = "/api/v1/inpaint-regions"
    assert api.client.post(url, content=chunks(limit), headers=headers).status_code == 400  # read, and no JSON
    assert api.client.post(url, content=chunks(limit + 1), headers=headers).status_code == 413
    assert api.client.post(url, content=b" " * (limit + 1), headers=headers).status_code == 413


def test_come_again_later(api: Api) -> None:
    for error, status in ((QueueFull("Full.", retry_after_s=6.2), 429), (ModelUnavailable("Later."), 503)):
        api.inpainter.error = error
        response = api.post("inpaint-regions", BODY)
        assert response.status_code == status
        assert int(response.headers["retry-after"]) >= 5


def test_a_bug_leaks_nothing(api: Api) -> None:
    api.inpainter.error = RuntimeError("/secret/path")
    response = api.post("inpaint-regions", BODY)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["error"] == "internal_error"


def test_request_ids(api: Api) -> None:
    assert api.client.get("/nope", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    odd = api.client.get("/nope", headers={"X-Request-ID": "a b\tc"})
    assert odd.headers["x-request-id"] == odd.json()["request_id"] != "a b\tc"


def test_cors() -> None:
    headers = {"Origin": "https://a.example"}
    anyone = Api().client.get("/", headers=headers).headers
    assert anyone["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in anyone
    assert "X-Model" in anyone["access-control-expose-headers"]
    narrow = Api(cors_origins="https://b.example").client.get("/", headers=headers).headers
    assert "access-control-allow-origin" not in narrow


def test_every_header_of_a_picture_can_be_read_by_scripts_of_other_origins() -> None:
    stats = replace(STATS, seed=7, notes=("A note.",))
    exposed = Api().client.get("/", headers={"Origin": "https://a.example"}).headers["access-control-expose-headers"]
    sent = presenters.image_headers(stats, with_regions=True)
    assert sent.keys() <= set(exposed.split(", "))
    assert {"X-Erased", "X-Seed", "X-Notes"} <= sent.keys()


def test_headers_carry_any_text(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Percent-encoded where they could not; the figures say it as it is."""
    note = "模型 of 50 %:\r\nSet-Cookie: a=1 \x7f — no."
    stats = replace(STATS, notes=('Plain, 1+1 = 2; "so".', note), model="maker/模型")
    monkeypatch.setattr("tests.support.fakes.STATS", stats)
    answer = api.post("inpaint-regions", BODY)
    assert answer.status_code == 200
    assert answer.headers["x-notes"].startswith('Plain, 1+1 = 2; "so". %E6%A8%A1')
    assert answer.headers["x-notes"].isascii()
    assert answer.headers["x-notes"].isprintable()
    assert unquote(answer.headers["x-notes"]) == " ".join(stats.notes)
    assert unquote(answer.headers["x-model"]) == stats.model
    assert api.post("inpaint-regions-json", BODY).json()["processing_stats"]["notes"] == list(stats.notes)


def test_documentation_is_self_contained_and_complete(api: Api) -> None:
    for page in ("/docs", "/redoc"):
        text = api.client.get(page).text
        assert 'src="http' not in text
        assert 'href="http' not in text
        assert "/docs-assets/" in text
    document = api.client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"]
            if path.startswith("/api/v1/inpaint") and path != "/api/v1/inpaint-batch":
                content = operation["requestBody"]["content"]
                assert set(content) == {"application/json", "multipart/form-data"}
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            assert "description" in field or schema.get("title") in ("HTTPValidationError", "ValidationError"), name
