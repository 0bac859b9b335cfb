"""The task: its states, the one function that makes transitions, and the snapshot that readers get. Pure."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum

from models.job import InpaintJob, JobStats


class TaskStatus(StrEnum):
    PENDING = "pending"
    PREPARING = "preparing"
    PROCESSING = "processing"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({TaskStatus.COMPLETED, TaskStatus.ERROR, TaskStatus.CANCELLED})


class Stage(StrEnum):
    PREPARING = "preparing"
    MASKING = "masking"
    INPAINTING = "inpainting"
    FINALIZING = "finalizing"


@dataclass(frozen=True, slots=True)
class TaskInput:
    """What a replica needs. It goes to the archive, never through the actor."""

    job: InpaintJob
    image: bytes
    mask: bytes | None = None


@dataclass(frozen=True, slots=True)
class TaskSubmission:
    """What the tracker needs to know of a task."""

    task_id: str
    total_regions: int
    content_sha256: str
    """Of the files and all parameters: the same id with the same digest is the same task."""
    callback_url: str | None = None
    enable_progress: bool = True
    progress_interval_s: float = 1.0
    client: str = ""
    """Whom the queue is fair between: an API key's name, else an address."""
    priority: int = 0
    """Among the tasks of one client, higher goes first."""
    batch_id: str | None = None
    traceparent: str = ""
    """W3C: the span of the call that submitted it; empty when it is not traced."""
    input_name: str = ""
    """Of the files in the archive, each submitter's own: whoever is refused deletes nobody else's."""
    model: str | None = None
    """That was named, for whom the call is sent to; the job itself is among the files."""


@dataclass(frozen=True, slots=True)
class BatchSubmission:
    """Tasks that are followed, cancelled and fetched together."""

    batch_id: str
    task_ids: tuple[str, ...]
    content_sha256: str
    callback_url: str | None = None
    client: str = ""


@dataclass(frozen=True, slots=True)
class TaskSnapshot:
    """One task at one moment. ``version`` rises with every change; times are epoch seconds."""

    task_id: str
    version: int
    status: TaskStatus
    stage: Stage | None
    overall_progress: float
    """0 to 100, never falls."""
    stage_progress: float
    """0 to 100 within ``stage``."""
    current_region: int
    """Regions finished."""
    total_regions: int
    message: str
    created_at: float
    started_at: float | None = None
    completed_at: float | None = None
    updated_at: float = 0.0
    """When this state arose, where it arose."""
    estimated_remaining_s: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    units_done: int = 0
    units_total: int = 0
    progress_interval_s: float = 1.0
    enable_progress: bool = True
    queue_position: int | None = None
    """0 = next, for pending tasks."""
    client: str = ""
    batch_id: str | None = None
    stats: JobStats | None = None
    """Of a completed task."""

    def elapsed_s(self, now: float) -> float:
        """Seconds since work began (since acceptance, while the task waits)."""
        return max(0.0, (self.completed_at or now) - (self.started_at or self.created_at))


@dataclass(frozen=True, slots=True)
class BatchSnapshot:
    """A batch at one moment: its tasks, in the order of its items."""

    batch_id: str
    created_at: float
    client: str
    tasks: tuple[TaskSnapshot, ...]

    @property
    def ended(self) -> bool:
        return all(task.status.is_terminal for task in self.tasks)

    @property
    def counts(self) -> dict[str, int]:
        return {status.value: sum(task.status is status for task in self.tasks) for status in TaskStatus}

    @property
    def status(self) -> str:
        """As for a task, with ``completed_with_errors`` when all have ended and not all of them well."""
        counts = self.counts
        if not self.ended:
            return "pending" if counts["pending"] == len(self.tasks) else "processing"
        if counts["cancelled"] and not counts["error"]:
            return "cancelled" if not counts["completed"] else "completed_with_errors"
        if not counts["error"]:
            return "completed"
        return "completed_with_errors" if counts["completed"] else "error"

    @property
    def overall_progress(self) -> float:
        """0 to 100: the mean of the tasks, an ended one counting as whole."""
        done = (100.0 if t.status.is_terminal else t.overall_progress for t in self.tasks)
        return round(sum(done) / len(self.tasks), 2)


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result on its way from the archive. However large, and however slow its reader: a piece is in memory."""

    stats: JobStats
    size_bytes: int
    pieces: AsyncIterator[bytes]

    async def whole(self) -> bytes:
        return b"".join([piece async for piece in self.pieces])


@dataclass(frozen=True, slots=True)
class Changes:
    """The answer to a long poll. Another ``epoch`` is another life of the tracker: ask again for what is followed."""

    epoch: str
    version: int
    tasks: tuple[TaskSnapshot, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt at a callback."""

    number: int
    at: float
    taken: bool
    answer: str
    """What the receiver said, or why it was not reached."""
    next_at: float | None = None
    """When it is tried again; None: never, it was taken or given up."""


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """Tasks that the tracker remembers, by status."""

    pending: int
    preparing: int
    processing: int
    completed: int
    error: int
    cancelled: int
    active_task_ids: tuple[str, ...] = ()
    """Of tasks not ended, oldest first."""
    max_queued: int = 0
    estimated_wait_s: float | None = None

    @property
    def active(self) -> int:
        """Not ended."""
        return self.pending + self.preparing + self.processing


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What ``health`` and ``model`` tell, from what the replicas last reported. No replica is asked."""

    status: str
    """``healthy``, ``starting`` or ``unhealthy``."""
    message: str
    degraded: tuple[str, ...]
    configured_model: str
    model_status: str
    """``ready``, ``loading`` or ``error``."""
    engine: str
    """Name of the engine that answers now."""
    device: str
    weights_sha256: str | None = None
    diagnostics: dict[str, object] = field(default_factory=dict)
