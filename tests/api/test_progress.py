"""The WebSocket protocol, message by message."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from deployments.tasks import TaskStatus
from tests.api.test_rest import BODY, Api
from tests.support import golden


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    with made.client:
        yield made


def submit(api: Api, task_id: str, **more: Any) -> None:
    assert api.post("inpaint-regions-async", BODY | {"task_id": task_id, **more}).status_code == 202


def connect(api: Api, path: str = "") -> Any:
    client: TestClient = api.client
    return client.websocket_connect(f"/api/v1/ws/progress{path}")


def test_one_task_to_its_end(api: Api) -> None:
    with connect(api, "/t") as socket:
        golden.check("ws-connection_established", socket.receive_json())
        submit(api, "t")
        golden.check("ws-progress_update-pending", socket.receive_json())
        api.tasks.move("t", TaskStatus.PROCESSING, 42.5, units_done=1, units_total=4)
        golden.check("ws-progress_update", socket.receive_json())
        api.tasks.move("t", TaskStatus.COMPLETED, 100.0)
        golden.check("ws-task_completed", socket.receive_json())
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 1000
    with connect(api, "/t") as late:
        assert [late.receive_json()["type"] for _ in range(2)] == ["connection_established", "task_completed"]


@pytest.mark.parametrize(
    ("status", "kind"), [(TaskStatus.ERROR, "task_failed"), (TaskStatus.CANCELLED, "task_cancelled")]
)
def test_other_ends(api: Api, status: TaskStatus, kind: str) -> None:
    submit(api, "t")
    with connect(api, "/t") as socket:
        socket.receive_json()
        socket.receive_json()
        api.tasks.move("t", status, 10.0, error_message="It broke." if status is TaskStatus.ERROR else None)
        golden.check(f"ws-{kind}", socket.receive_json())


def test_subscribe_before_submit_and_only_that(api: Api) -> None:
    with connect(api) as socket:
        golden.check("ws-connection_established-general", socket.receive_json())
        submit(api, "first")
        assert socket.receive_json()["task_id"] == "first"
        socket.send_json({"type": "subscribe_task", "task_id": "wanted"})
        golden.check("ws-task_subscribed", socket.receive_json())
        submit(api, "other")
        submit(api, "wanted")
        assert socket.receive_json()["task_id"] == "wanted"
        socket.send_json({"type": "unsubscribe_task", "task_id": "wanted"})
        golden.check("ws-task_unsubscribed", socket.receive_json())
        api.tasks.move("wanted", TaskStatus.COMPLETED, 100.0)
        socket.send_json({"type": "subscribe_task", "task_id": "wanted"})
        assert [socket.receive_json()["type"] for _ in range(2)] == ["task_subscribed", "task_completed"]


def test_questions_and_nonsense(api: Api) -> None:
    submit(api, "t")
    with connect(api) as socket:
        socket.receive_json()
        socket.send_json({"type": "ping", "timestamp": "then"})
        assert socket.receive_json() == {"type": "pong", "timestamp": "then"}
        for nonsense in ("{", "[]", "7", '{"type": 5}', '{"type": "dance"}', '{"type": "cancel_task"}', "x" * 70_000,
                         '{"type": "ping", "timestamp": NaN}', '{"type": "ping", "timestamp": [-Infinity]}',
                         '{"type": "ping", "timestamp": 1e999}'):  # fmt: skip
            socket.send_text(nonsense)
            assert socket.receive_json()["type"] == "error"
        socket.send_json({"type": "get_task_status", "task_id": "nope"})
        golden.check("ws-error", socket.receive_json())
        socket.send_json({"type": "get_task_status", "task_id": "t"})
        assert socket.receive_json()["status"] == "pending"
        socket.send_json({"type": "cancel_task", "task_id": "t"})
        assert socket.receive_json()["type"] == "task_cancelled"
        socket.send_json({"type": "ping", "timestamp": 1.5})
        assert socket.receive_json() == {"type": "pong", "timestamp": 1.5}, "the end was sent twice"
        for _ in range(2):  # who asks again is told again
            socket.send_json({"type": "cancel_task", "task_id": "t"})
            assert socket.receive_json()["type"] == "task_cancelled"


def test_silence_is_filled_at_the_interval_with_fresh_times(api: Api) -> None:
    submit(api, "t", progress_interval=0.3)
    with connect(api, "/t") as socket:
        socket.receive_json()
        first = socket.receive_json()
        start = time.monotonic()
        second = socket.receive_json()
        assert 0.2 < time.monotonic() - start < 1.5
        assert second["progress"] == first["progress"]
        assert second["elapsed_time"] > first["elapsed_time"]


def test_news_is_sent_at_most_ten_times_a_second_and_the_newest_wins(api: Api) -> None:
    submit(api, "t")
    with connect(api, "/t") as socket:
        socket.receive_json()
        for step in range(100):
            api.tasks.move("t", TaskStatus.PROCESSING, step / 2)
            time.sleep(0.005)
        api.tasks.move("t", TaskStatus.COMPLETED, 100.0)
        seen = [socket.receive_json() for _ in range(3)]
        while seen[-1]["type"] != "task_completed":
            seen.append(socket.receive_json())
        assert len(seen) < 15
        progress = [m["progress"] for m in seen[:-1]]
        assert progress == sorted(progress)


def test_without_progress_only_the_end_is_sent(api: Api) -> None:
    submit(api, "t", enable_progress=False)
    with connect(api, "/t") as socket:
        socket.receive_json()
        api.tasks.move("t", TaskStatus.PROCESSING, 50.0)
        time.sleep(0.3)
        api.tasks.move("t", TaskStatus.COMPLETED, 100.0)
        assert socket.receive_json()["type"] == "task_completed"


@pytest.mark.parametrize("origin", ["https://a.example", "http://[", "null", "testserver", "x://"])
def test_narrowed_origins_hold_for_websockets(origin: str) -> None:
    api = Api(cors_origins="https://b.example")
    with api.client.websocket_connect("/api/v1/ws/progress", headers={"Origin": origin}) as socket:
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4403


def test_the_services_own_page_may_connect_whatever_the_origins() -> None:
    api = Api(cors_origins="https://b.example")
    headers = {"Origin": "http://testserver", "Host": "testserver"}
    with api.client.websocket_connect("/api/v1/ws/progress", headers=headers) as socket:
        assert socket.receive_json()["type"] == "connection_established"


def heard(socket: Any, seconds: float) -> list[dict[str, Any]]:
    """Everything that arrives meanwhile."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        socket.send_json({"type": "ping"})
        while (message := socket.receive_json())["type"] != "pong":
            found.append(message)
    return found


def test_what_was_on_its_way_is_not_sent_once_one_is_chosen(api: Api) -> None:
    submit(api, "foreign", progress_interval=0.2)
    with connect(api) as socket:
        socket.receive_json()
        api.tasks.move("foreign", TaskStatus.PROCESSING, 10.0)
        socket.receive_json()
        # Within the pause after an update: it is kept for the next round.
        api.tasks.move("foreign", TaskStatus.PROCESSING, 20.0)
        socket.send_json({"type": "subscribe_task", "task_id": "mine"})
        while socket.receive_json()["type"] != "task_subscribed":
            pass
        assert heard(socket, 1.0) == []
