"""The messages of a progress WebSocket become updates. No I/O."""

import json
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from iopaint_client.states import TaskState, Update

_ENDS = {"task_completed": "completed", "task_failed": "error", "task_cancelled": "cancelled"}


class Story:
    """What was heard of some tasks. Progress never falls, every end is told once, and after the last it is over."""

    def __init__(self, task_ids: Iterable[str]) -> None:
        self._open = dict.fromkeys(task_ids, 0.0)

    @property
    def over(self) -> bool:
        return not self._open

    def hear(self, text: str | bytes) -> Update | None:
        """What a message of the service means, if it is news of one of the tasks."""
        message = json.loads(text)
        task_id, kind = message.get("task_id"), message.get("type")
        if task_id not in self._open:
            return None
        if kind in _ENDS:
            progress = 100.0 if kind == "task_completed" else self._open[task_id]
            return self._tell(Update(task_id, _ENDS[kind], None, progress, message.get("error_message") or _ENDS[kind]))
        if kind != "progress_update":
            return None
        return self._tell(
            Update(
                task_id, message["status"], message["stage"], message["progress"], message["message"],
                message["current_region"], message["total_regions"], message["estimated_remaining"],
            )
        )  # fmt: skip

    def look(self, state: TaskState) -> Update | None:
        """The same from a state that was asked for."""
        return self._tell(Update.from_state(state)) if state.task_id in self._open else None

    def _tell(self, update: Update) -> Update | None:
        if update.progress < self._open[update.task_id] and not update.ended:
            return None  # an older state than was told already
        self._open[update.task_id] = update.progress
        if update.ended:
            del self._open[update.task_id]
        return update


def websocket_url(base_url: str, path: str) -> str:
    """From the address that the client was given: it is known to reach the service."""
    parts = urlsplit(base_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    return urlunsplit((scheme, parts.netloc, f"{parts.path.rstrip('/')}/api/v1/ws/{path}", "", ""))


def subscription(subject: str) -> str:
    """``subject``: a task's or a batch's id."""
    return json.dumps({"type": "subscribe_task", "task_id": subject})
