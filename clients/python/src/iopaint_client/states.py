"""What the service tells, as values. Fields that a newer service adds stay readable in ``raw``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iopaint_client.errors import TaskCancelled, TaskFailed
from iopaint_client.options import Options
from iopaint_client.pictures import ImageInput
from iopaint_client.regions import RegionInput

ENDED = ("completed", "error", "cancelled")


@dataclass(frozen=True, slots=True)
class TaskState:
    """``progress`` 0 to 100; times in seconds."""

    task_id: str
    status: str
    stage: str | None
    progress: float
    current_region: int
    total_regions: int
    message: str
    elapsed_s: float
    estimated_remaining_s: float | None
    queue_position: int | None
    error: str | None
    error_message: str | None
    regions: tuple[Mapping[str, Any], ...]
    """What was done to each region; empty until completed."""
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def raise_for_end(self) -> None:
        """Raises ``TaskCancelled`` or ``TaskFailed`` of a task that ended so."""
        if self.status == "cancelled":
            raise TaskCancelled(f"The task {self.task_id} was cancelled.")
        if self.status == "error":
            raise TaskFailed(self.error_message or "The task failed.", self.task_id, self.error)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "TaskState":
        return cls(
            task_id=body["task_id"],
            status=body["status"],
            stage=body["stage"],
            progress=body["overall_progress"],
            current_region=body["current_region"],
            total_regions=body["total_regions"],
            message=body["message"],
            elapsed_s=body["elapsed_time"],
            estimated_remaining_s=body["estimated_remaining"],
            queue_position=body.get("queue_position"),
            error=body.get("error"),
            error_message=body["error_message"],
            regions=tuple(body.get("regions") or ()),
            raw=body,
        )


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text that was found: the corners of its outline in pixels, and how sure that is, 0 to 1."""

    points: tuple[tuple[float, float], ...]
    score: float

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "TextLine":
        return cls(tuple((x, y) for x, y in body["points"]), body["score"])


@dataclass(frozen=True, slots=True)
class Update:
    """News of a task. The last one has ``ended`` true."""

    task_id: str
    status: str
    stage: str | None
    progress: float
    message: str
    current_region: int | None = None
    total_regions: int | None = None
    estimated_remaining_s: float | None = None
    queue_position: int | None = None
    """Tasks before it, while it waits; told when the task is looked at, not by each message."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @classmethod
    def from_state(cls, state: TaskState) -> "Update":
        return cls(
            state.task_id, state.status, state.stage, state.progress, state.error_message or state.message,
            state.current_region, state.total_regions, state.estimated_remaining_s, state.queue_position,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One image of a batch: ``regions`` or ``mask``, and parameters that hold for it alone."""

    image: ImageInput
    regions: "list[RegionInput] | None" = None
    mask: "ImageInput | None" = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class BatchState:
    batch_id: str
    status: str
    counts: Mapping[str, int]
    progress: float
    tasks: tuple[TaskState, ...]

    @property
    def ended(self) -> bool:
        return all(task.ended for task in self.tasks)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "BatchState":
        tasks = tuple(TaskState.from_wire(task) for task in body["tasks"])
        return cls(body["batch_id"], body["status"], body["counts"], body["overall_progress"], tasks)


@dataclass(frozen=True, slots=True)
class Health:
    """``status``: healthy, starting or unhealthy; ``degraded``: what is not as configured, in sentences."""

    status: str
    message: str
    version: str
    degraded: tuple[str, ...]
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "Health":
        return cls(body["status"], body["message"], body["version"], tuple(body.get("degraded", ())), body)


@dataclass(frozen=True, slots=True)
class Info:
    """``model``: the engine that answers now; ``models``: those that calls may name."""

    version: str
    model: str
    device: str
    models: tuple[str, ...]
    capabilities: tuple[str, ...]
    limits: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "Info":
        model = body["model"]
        return cls(
            body["version"], model["name"], model["device"], tuple(body.get("models", ())),
            tuple(body["capabilities"]), body["limits"], body,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Queue:
    """Tasks by state, and who is active."""

    active: int
    pending: int
    completed: int
    error: int
    cancelled: int
    estimated_wait_s: float | None
    active_task_ids: tuple[str, ...]

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "Queue":
        return cls(
            body["active_tasks"], body["pending_tasks"], body["completed_tasks"], body["error_tasks"],
            body["cancelled_tasks"], body["estimated_wait"], tuple(body["active_task_ids"]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delivery:
    """An attempt at a task's callback."""

    number: int
    at: str
    taken: bool
    answer: str
    next_at: str | None
