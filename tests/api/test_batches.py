"""Batches over HTTP and WebSocket, deleting tasks, and the log of callbacks."""

import base64
import io
import json
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from deployments.tasks import Delivery, TaskStatus
from tests.api.test_rest import BODY, Api
from tests.support import golden

ITEM = {"image": BODY["image"], "regions": BODY["regions"]}


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    with made.client:
        yield made


def submit(api: Api, batch_id: str = "b", count: int = 2, **more: Any) -> Any:
    return api.post("inpaint-batch", {"items": [ITEM] * count, "batch_id": batch_id, **more})


def test_a_batch_from_submit_to_zip(api: Api) -> None:
    answer = submit(api)
    assert answer.status_code == 202
    golden.check("batch-accepted", answer.json())
    assert submit(api).status_code == 200
    assert api.client.get("/api/v1/batch-result/b").json()["error"] == "batch_not_ready"
    api.tasks.move("b.0", TaskStatus.COMPLETED, 100.0)
    api.tasks.move("b.1", TaskStatus.ERROR, 10.0, error_message="It broke.")
    status = api.client.get("/api/v1/batch-status/b").json()
    golden.check("batch-status", status)
    whole = api.client.get("/api/v1/batch-result/b")
    assert whole.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0_b.0.png", "report.json"]
        assert archive.read("0_b.0.png") == base64.b64decode(BODY["image"])
        assert json.loads(archive.read("report.json"))["counts"]["error"] == 1


def test_pictures_keep_their_numbers_when_others_are_deleted(api: Api) -> None:
    submit(api, count=3)
    for task_id in ("b.0", "b.1", "b.2"):
        api.tasks.move(task_id, TaskStatus.COMPLETED, 100.0)
    api.client.delete("/api/v1/tasks/b.1")
    with zipfile.ZipFile(io.BytesIO(api.client.get("/api/v1/batch-result/b").content)) as archive:
        assert archive.namelist() == ["0_b.0.png", "2_b.2.png", "report.json"]


def test_masks_and_regions_in_one_batch(api: Api) -> None:
    both = api.post("inpaint-batch", {"items": [ITEM, {"image": BODY["image"], "mask": BODY["image"]}]})
    assert both.status_code == 202
    assert both.json()["task_ids"] == [f"{both.json()['batch_id']}.{number}" for number in range(2)]


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({}, 422, "items"),
        ({"items": []}, 422, "items"),
        ({"items": [ITEM] * 101}, 422, "1 to 100"),
        ({"items": [ITEM, {"image": BODY["image"]}]}, 422, "items[1]"),
        ({"items": [ITEM, ITEM | {"mask": BODY["image"]}]}, 422, "items[1]"),
        ({"items": [ITEM, ITEM | {"regions": [{"x": 9999, "y": 0, "width": 5, "height": 5}]}]}, 422, "items[1]"),
        ({"items": [{"image": "!!!", "regions": ITEM["regions"]}]}, 400, "items[0]"),
        ({"items": [7]}, 422, "items[0]"),
        ({"items": [ITEM], "batch_id": "../x"}, 422, "batch_id"),
        ({"items": [ITEM], "priority": 1000}, 422, "priority"),
    ],
)
def test_one_bad_item_refuses_the_batch_and_is_named(api: Api, body: dict[str, Any], status: int, named: str) -> None:
    answer = api.post("inpaint-batch", body)
    assert (answer.status_code, named in answer.json()["detail"]) == (status, True), answer.json()
    assert api.tasks.tasks == {}


def test_other_content_under_the_same_batch_id(api: Api) -> None:
    submit(api, count=2)
    assert submit(api, count=3).status_code == 409


def test_a_batch_is_bounded_in_bytes() -> None:
    size = len(base64.b64decode(BODY["image"])) * 2
    assert submit(Api(max_batch_bytes=size), "two", 2).status_code == 202
    assert submit(Api(max_batch_bytes=size - 1), "two", 2).status_code == 413


def test_cancelling_a_batch(api: Api) -> None:
    submit(api)
    api.tasks.move("b.0", TaskStatus.COMPLETED, 100.0)
    counts = api.client.post("/api/v1/cancel-batch/b").json()["counts"]
    assert (counts["cancelled"], counts["completed"]) == (1, 1)


@pytest.mark.parametrize("call", ["batch-status", "batch-result"])
@pytest.mark.parametrize("batch_id", ["unknown", "..%2F..%2Fetc"])
def test_unknown_batches(api: Api, call: str, batch_id: str) -> None:
    answer = api.client.get(f"/api/v1/{call}/{batch_id}")
    assert answer.status_code == 404


def test_subscribing_to_a_batch_means_its_tasks(api: Api) -> None:
    with api.client.websocket_connect("/api/v1/ws/progress") as socket:
        socket.receive_json()
        socket.send_json({"type": "subscribe_task", "task_id": "b"})
        assert socket.receive_json()["type"] == "task_subscribed"
        submit(api, "other")
        submit(api)
        assert {socket.receive_json()["task_id"] for _ in range(2)} == {"b.0", "b.1"}
        api.tasks.move("b.0", TaskStatus.COMPLETED, 100.0)
        assert socket.receive_json()["type"] == "task_completed"


def test_unsubscribing_from_a_batch_ends_its_tasks_updates(api: Api) -> None:
    with api.client.websocket_connect("/api/v1/ws/progress") as socket:
        socket.receive_json()
        socket.send_json({"type": "subscribe_task", "task_id": "b"})
        socket.receive_json()
        submit(api)
        for _ in range(2):
            socket.receive_json()
        socket.send_json({"type": "unsubscribe_task", "task_id": "b"})
        while socket.receive_json()["type"] != "task_unsubscribed":
            pass
        time.sleep(2.5)
        socket.send_json({"type": "ping"})
        assert socket.receive_json()["type"] == "pong", "its tasks were repeated all the same"


def test_deleting_a_task(api: Api) -> None:
    api.post("inpaint-regions-async", BODY | {"task_id": "t"})
    assert api.client.delete("/api/v1/tasks/t").status_code == 409
    api.tasks.move("t", TaskStatus.COMPLETED, 100.0)
    golden.check("task-deleted", api.client.delete("/api/v1/tasks/t").json())
    assert api.client.get("/api/v1/task-status/t").status_code == 404
    assert api.client.delete("/api/v1/tasks/t").status_code == 404


def test_the_log_of_callbacks(api: Api) -> None:
    api.post("inpaint-regions-async", BODY | {"task_id": "t"})
    assert api.client.get("/api/v1/tasks/t/deliveries").json() == {"task_id": "t", "deliveries": []}
    assert api.client.post("/api/v1/tasks/t/deliveries").json()["error"] == "nothing_to_deliver"
    api.tasks.sent["t"] = [Delivery(1, time.time(), False, "HTTP 503", time.time() + 1)]
    golden.check("deliveries", api.client.get("/api/v1/tasks/t/deliveries").json())
    assert api.client.post("/api/v1/tasks/t/deliveries").status_code == 202


def as_form(api: Api, files: dict[str, bytes], items: str, **fields: str) -> Any:
    return api.client.post("/api/v1/inpaint-batch", files=files, data=fields | {"items": items})


def test_a_form_is_the_same_batch_as_json(api: Api) -> None:
    """The digest of both is one: what was accepted as JSON is found again by the form."""
    image = base64.b64decode(BODY["image"])
    items = [ITEM, {"image": BODY["image"], "mask": BODY["image"], "output_format": "jpeg"}]
    assert api.post("inpaint-batch", {"items": items, "batch_id": "b", "priority": 3}).status_code == 202
    told = json.dumps([{"regions": BODY["regions"]}, {"output_format": "jpeg"}])
    files = {"image_0": image, "image_1": image, "mask_1": image}
    assert as_form(api, files, told, batch_id="b", priority="3").status_code == 200
    assert as_form(api, files, told, batch_id="other").status_code == 202


@pytest.mark.parametrize(
    ("files", "items", "named"),
    [
        (["image_0"], "", "items"),
        (["image_0"], "[{", "items"),
        (["image_0"], "{}", "items"),
        (["image_0", "image_1"], '[{"regions": [{"x": 1, "y": 1, "width": 5, "height": 5}]}]', "items[1]"),
        (["image_0"], '[{"regions": [{"x": 1, "y": 1, "width": 5, "height": 5}]}, {}]', "items[1]"),
        (["image_0"], "[{}]", "items[0]"),
        (["image_0", "image"], "[{}]", "image:"),
        (["image_00"], "[{}]", "image_00"),
    ],
)
def test_what_is_wrong_with_a_form_is_named(api: Api, files: list[str], items: str, named: str) -> None:
    answer = as_form(api, dict.fromkeys(files, base64.b64decode(BODY["image"])), items)
    assert (answer.status_code, named in answer.json()["detail"]) == (422, True), answer.json()
    assert api.tasks.tasks == {}
