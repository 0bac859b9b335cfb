"""Any text in any order: the socket answers, stays open, and never sends another kind of message."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.tasks import TaskStatus
from tests.api.test_rest import BODY, Api

KINDS = ["subscribe_task", "unsubscribe_task", "get_task_status", "cancel_task", "ping"]
ANSWERS = {
    "task_subscribed",
    "task_unsubscribed",
    "progress_update",
    "task_completed",
    "task_cancelled",
    "error",
    "pong",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
IDS = st.sampled_from(["a", "b", "nope", "", ".", "../a", "x" * 128, "x" * 129]) | JSON
MESSAGES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(KINDS) | JSON}, optional={"task_id": IDS, "timestamp": JSON}).map(
        json.dumps
    ),
    JSON.map(json.dumps),
    st.text(max_size=50),
    st.binary(max_size=50),
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(MESSAGES, max_size=12), st.booleans())
def test_any_messages(messages: list[str | bytes], own: bool) -> None:
    api = Api()
    with api.client:
        for task_id in ("a", "b"):
            api.post("inpaint-regions-async", BODY | {"task_id": task_id})
        api.tasks.move("b", TaskStatus.COMPLETED, 100.0)
        with api.client.websocket_connect(f"/api/v1/ws/progress{'/a' if own else ''}") as socket:
            assert socket.receive_json()["type"] == "connection_established"
            for said in messages:
                socket.send_bytes(said) if isinstance(said, bytes) else socket.send_text(said)
            if any("cancel_task" in str(said) for said in messages):
                return  # the end of its own task closes the socket
            socket.send_json({"type": "ping", "timestamp": "the last"})
            while (answer := _answer(socket)) != {"type": "pong", "timestamp": "the last"}:
                assert answer["type"] in ANSWERS


def test_bytes_are_answered_in_words() -> None:
    """The fuzzer's find: a frame of bytes ended the socket, with a bug's trace in the log."""
    with Api().client.websocket_connect("/api/v1/ws/progress") as socket:
        assert socket.receive_json()["type"] == "connection_established"
        socket.send_bytes(b'{"type": "ping"}')
        assert "JSON object" in socket.receive_json()["error"]
        socket.send_json({"type": "ping"})
        assert socket.receive_json()["type"] == "pong"


def _answer(socket: Any) -> dict[str, Any]:
    found: dict[str, Any] = socket.receive_json()
    return found
