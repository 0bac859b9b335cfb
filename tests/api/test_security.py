"""API keys: who gets in, and what each key sees."""

import hashlib
import io
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from deployments.tasks import TaskStatus
from ingress.security import KeyRing
from ingress.settings import Settings
from tests.api.test_rest import BODY, IMAGE, Api

KEYS = ("first-key", "second-key")
FIRST, SECOND = ({"X-API-Key": key} for key in KEYS)


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api(api_keys=",".join(KEYS))
    with made.client:
        yield made


def submit(api: Api, task_id: str, headers: dict[str, str]) -> Any:
    return api.post("inpaint-regions-async", BODY | {"task_id": task_id}, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"X-API-Key": "first-ke"}, {"Authorization": "Bearer"},
     {"Authorization": "Basic first-key"}],
)  # fmt: skip
def test_without_a_right_key_nothing_works(api: Api, headers: dict[str, str]) -> None:
    for method, path in (("POST", "inpaint-regions"), ("GET", "tasks"), ("GET", "info"), ("DELETE", "tasks/t"),
                         ("GET", "no-such-path"), ("GET", "../v1/tasks")):  # fmt: skip
        response = api.client.request(method, f"/api/v1/{path}", headers=headers)
        assert response.status_code == 401, path
        assert response.json()["error"] == "unauthorized"
        assert response.headers["www-authenticate"] == "Bearer"
    assert api.client.post("/api/v1/inpaint-regions?api_key=first-key", json=BODY).status_code == 401
    assert api.inpainter.jobs == []


@pytest.mark.parametrize(
    "headers", [FIRST, {"Authorization": "Bearer first-key"}, {"authorization": "bearer second-key"}]
)
def test_a_right_key_opens(api: Api, headers: dict[str, str]) -> None:
    assert api.post("inpaint-regions", BODY, headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["first-key", "second-key", "wrong", "schlüssel"])
def test_a_key_is_compared_with_all_keys_in_constant_time(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare_digest(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("ingress.security.hmac.compare_digest", compare_digest)
    assert (KeyRing(KEYS).owner(key) is not None) == (key in KEYS)
    assert compared == [tuple(hashlib.sha256(one.encode()).digest() for one in (key, ours)) for ours in KEYS]


def test_health_and_documentation_are_open_and_health_tells_less(api: Api) -> None:
    for path in ("/", "/docs", "/redoc", "/openapi.json", "/api/v1/health", "/docs-assets/favicon.png"):
        assert api.client.get(path).status_code == 200, path
    assert set(api.get("health").json()) == {"status", "message", "timestamp", "version"}
    assert "diagnostics" in api.client.get("/api/v1/health", headers=FIRST).json()


def test_without_keys_everything_is_open() -> None:
    api = Api()
    assert submit(api, "t", {}).status_code == 202
    assert api.get("task-status/t").status_code == 200
    assert "diagnostics" in api.get("health").json()


def test_another_keys_task_does_not_exist(api: Api) -> None:
    assert submit(api, "t", FIRST).status_code == 202
    calls = [("GET", "task-status/t"), ("POST", "cancel-task/t"), ("GET", "task-result/t"), ("DELETE", "tasks/t"),
             ("GET", "tasks/t/deliveries"), ("POST", "tasks/t/deliveries")]  # fmt: skip
    for method, path in calls:
        missing = api.client.request(method, f"/api/v1/{path.replace('/t', '/nope', 1)}", headers=SECOND)
        response = api.client.request(method, f"/api/v1/{path}", headers=SECOND)
        assert (response.status_code, response.json()["error"]) == (404, "task_not_found"), path
        assert missing.status_code == 404
    assert not api.tasks.tasks["t"].status.is_terminal, "cancelled by another"
    assert api.client.get("/api/v1/task-status/t", headers=FIRST).status_code == 200
    assert api.client.get("/api/v1/tasks", headers=FIRST).json()["active_task_ids"] == ["t"]
    others = api.client.get("/api/v1/tasks", headers=SECOND).json()
    assert (others["total_tasks"], others["active_task_ids"]) == (0, [])


def test_the_same_submission_with_another_key_is_a_conflict(api: Api) -> None:
    assert submit(api, "t", FIRST).status_code == 202
    assert submit(api, "t", FIRST).status_code == 200
    assert submit(api, "t", SECOND).status_code == 409


def test_another_keys_batch_does_not_exist(api: Api) -> None:
    body = {"items": [BODY], "batch_id": "b"}
    assert api.post("inpaint-batch", body, headers=FIRST).status_code == 202
    assert api.post("inpaint-batch", body, headers=SECOND).status_code == 409
    api.tasks.move("b.0", TaskStatus.COMPLETED, 100.0)
    for method, path in (("GET", "batch-status/b"), ("GET", "batch-result/b"), ("POST", "cancel-batch/b")):
        assert api.client.request(method, f"/api/v1/{path}", headers=SECOND).status_code == 404, path
    whole = api.client.get("/api/v1/batch-result/b", headers=FIRST)
    assert zipfile.ZipFile(io.BytesIO(whole.content)).read("0_b.0.png") == IMAGE


def test_websockets(api: Api) -> None:
    for path in ("/progress", "/progress/t", "/progress?api_key=wrong"):
        with api.client.websocket_connect(f"/api/v1/ws{path}") as socket:
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
            assert closed.value.code == 4401
    submit(api, "t", FIRST)
    with api.client.websocket_connect("/api/v1/ws/progress/t?api_key=first-key") as socket:
        assert [socket.receive_json()["type"] for _ in range(2)] == ["connection_established", "progress_update"]
    with api.client.websocket_connect("/api/v1/ws/progress", headers=SECOND) as socket:
        socket.receive_json()
        for kind in ("get_task_status", "cancel_task"):
            socket.send_json({"type": kind, "task_id": "t"})
            assert socket.receive_json()["type"] == "error"
        socket.send_json({"type": "subscribe_task", "task_id": "t"})
        assert socket.receive_json()["type"] == "task_subscribed"
        submit(api, "of-another", FIRST)
        api.tasks.move("t", TaskStatus.COMPLETED, 100.0)
        submit(api, "own", SECOND)
        socket.send_json({"type": "subscribe_task", "task_id": "own"})
        assert [socket.receive_json() for _ in range(2)][1]["task_id"] == "own"


def test_the_general_endpoint_tells_of_own_tasks_only(api: Api) -> None:
    with api.client.websocket_connect("/api/v1/ws/progress", headers=SECOND) as socket:
        socket.receive_json()
        submit(api, "of-another", FIRST)
        submit(api, "own", SECOND)
        assert socket.receive_json()["task_id"] == "own"


def test_keys_are_in_no_log_and_no_answer(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.inpainter.error = RuntimeError("a bug")
    answers = [api.post("inpaint-regions", BODY, headers=FIRST).text, submit(api, "t", FIRST).text,
               api.client.get("/api/v1/task-status/t", headers=FIRST).text]  # fmt: skip
    with api.client.websocket_connect("/api/v1/ws/progress/t?api_key=first-key") as socket:
        answers.append(socket.receive_text())
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert ours
    assert not any("first-key" in text for text in [*answers, *ours, repr(api.tasks.tasks), repr(KeyRing(KEYS))])


def test_keys_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the shop\nshop-key\n\n  other-key  # rotated\n")
    settings = Settings.model_validate({"api_keys": "a, b", "api_keys_file": str(file)})
    assert settings.all_api_keys() == ("a", "b", "shop-key", "other-key")
    assert "shop-key" not in repr(settings)
    assert "api_keys" not in repr(settings).replace("api_keys_file", "")
    file.write_text("# none\n")
    for path in (file, tmp_path / "missing"):
        with pytest.raises(ValidationError):
            Settings.model_validate({"api_keys_file": str(path)})
