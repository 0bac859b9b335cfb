"""The task: its states, the one function that makes transitions, and the snapshot that readers get. Pure."""

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
class TaskSubmission:
    """What ingress hands over. The image (and mask) bytes go to the archive, never through the actor."""

    task_id: str
    job: InpaintJob
    total_regions: int
    content_sha256: str
    """Of the files and all parameters: the same id with the same digest is the same task."""
    callback_url: str | None = None
    enable_progress: bool = True
    progress_interval_s: float = 1.0


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
    estimated_remaining_s: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    units_done: int = 0
    units_total: int = 0
    progress_interval_s: float = 1.0
    enable_progress: bool = True
    queue_position: int | None = None
    """0 = next, for pending tasks."""
    stats: JobStats | None = None
    """Of a completed task."""

    def elapsed_s(self, now: float) -> float:
        """Seconds since work began (since acceptance, while the task waits)."""
        return max(0.0, (self.completed_at or now) - (self.started_at or self.created_at))


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
