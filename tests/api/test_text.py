"""The calls that find text themselves, against the application with fakes."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from deployments.tasks import TaskStatus
from ingress.app import create_app
from models.errors import DetectorUnavailable
from models.geometry import Polygon, Rect
from models.job import FindText
from tests.support import golden
from tests.support.fakes import FakeFinder, config, services
from tests.support.pictures import b64, encoded, photo

IMAGE = encoded(photo())
BODY: dict[str, Any] = {"image": b64(IMAGE)}
AREA = {"x": 0, "y": 0, "width": 100, "height": 50}
CORNER = {"points": [[0, 0], [40, 0], [0, 40]]}
FILTERS = {"min_score": 0.7, "min_height_px": 12, "include": [AREA, CORNER], "exclude": [CORNER]}
WANTED = FindText(
    0.7, 12, (Rect(0, 0, 100, 50), Polygon(((0, 0), (40, 0), (0, 40)))), (Polygon(((0, 0), (40, 0), (0, 40))),)
)


class Api:
    def __init__(self, **settings: object) -> None:
        self.finder = FakeFinder()
        made, self.inpainter, self.tasks = services(self.finder)
        self.client = TestClient(create_app(made, config(**settings)), raise_server_exceptions=False)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.client.post(f"/api/v1/{path}", json=body)


@pytest.fixture
def api() -> Api:
    return Api()


def test_detect(api: Api) -> None:
    response = api.post("detect-text", BODY)
    assert response.status_code == 200
    golden.check("detect-text", response.json())
    assert api.finder.asked == [FindText()]
    api.finder.lines = ()
    assert api.post("detect-text", BODY).json() == {"lines": []}


def test_filters_reach_the_finder_and_the_job(api: Api) -> None:
    api.post("detect-text", BODY | FILTERS)
    assert api.finder.asked == [WANTED]
    assert api.post("remove-text", BODY | FILTERS | {"sd_seed": 7, "output_format": "webp"}).status_code == 200
    job = api.inpainter.jobs[-1]
    assert (job.regions, job.find_text) == (None, WANTED)
    assert (job.diffusion.seed, job.output.format) == (7, "webp")


@pytest.mark.parametrize("path", ["detect-text", "remove-text", "remove-text-async"])
def test_a_form_is_the_same_request(api: Api, path: str) -> None:
    data = {key: json.dumps(value) for key, value in FILTERS.items()}
    api.post(path, BODY | FILTERS | {"task_id": "t"})
    sent = api.client.post(f"/api/v1/{path}", files={"image": ("a.png", IMAGE)}, data=data | {"task_id": "t"})
    assert sent.status_code == 200, "the task is the same one"
    asked = api.finder.asked if path == "detect-text" else api.inpainter.jobs
    if path != "remove-text-async":
        assert len(asked) == 2
        assert asked[0] == asked[1]


def test_the_picture_and_its_headers(api: Api) -> None:
    response = api.post("remove-text", BODY)
    assert (response.status_code, response.content) == (200, IMAGE)
    assert response.headers["x-regions-count"] == "1"
    assert api.inpainter.jobs[0].find_text == FindText()


def test_a_task_is_accepted_before_anything_is_looked_for(api: Api) -> None:
    body = BODY | {"task_id": "t-1", "min_score": 0.6}
    accepted = api.post("remove-text-async", body)
    assert accepted.status_code == 202
    golden.check("accepted", accepted.json())
    assert api.finder.asked == []
    assert api.tasks.tasks["t-1"].total_regions == 0
    assert api.post("remove-text-async", body).status_code == 200
    assert api.post("remove-text-async", body | {"min_score": 0.61}).status_code == 409
    assert api.tasks.tasks["t-1"].status is TaskStatus.PENDING


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"min_score": 1.01}, "min_score"),
        ({"min_score": "high"}, "min_score"),
        ({"min_height_px": -1}, "min_height_px"),
        ({"include": [AREA, {"x": 1, "y": 2, "width": 3}]}, "include[1].height"),
        ({"exclude": [AREA, {"x": 400, "y": 0, "width": 5, "height": 5}]}, "exclude[1]"),
        ({"exclude": "everything"}, "exclude"),
        ({"model": "nonsense"}, "model"),
    ],
)
def test_wrong_fields_are_named(api: Api, change: dict[str, Any], field: str) -> None:
    response = api.post("remove-text", BODY | change)
    assert response.status_code == 422
    assert field in response.json()["detail"]
    if field != "model":  # unknown here, so ignored
        assert api.post("detect-text", BODY | change).status_code == 422


def test_too_many_areas() -> None:
    api = Api(max_regions=2)
    assert api.post("detect-text", BODY | {"include": [AREA] * 2}).status_code == 200
    assert api.post("detect-text", BODY | {"include": [AREA] * 3}).status_code == 422


def test_no_detector_is_503(api: Api) -> None:
    api.finder.error = api.inpainter.error = DetectorUnavailable("The package rapidocr is not installed.")
    for path in ("detect-text", "remove-text"):
        response = api.post(path, BODY)
        assert (response.status_code, response.json()["error"]) == (503, "detector_unavailable")
        assert "rapidocr" in response.json()["detail"]
        assert "retry-after" in response.headers


def test_the_documentation_shows_both_kinds_of_body(api: Api) -> None:
    paths = api.client.get("/openapi.json").json()["paths"]
    for path in ("detect-text", "remove-text", "remove-text-async"):
        content = paths[f"/api/v1/{path}"]["post"]["requestBody"]["content"]
        assert set(content) == {"application/json", "multipart/form-data"}
        assert "regions" not in content["application/json"]["example"]
        form = content["multipart/form-data"]["schema"]["properties"]
        assert form["exclude"]["type"] == "string"
        assert ("sd_seed" in form) == (path != "detect-text")
