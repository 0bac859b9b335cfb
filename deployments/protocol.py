"""Messages between the tracker and the model replicas. Plain frozen values: they cross process borders."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deployments.progress import UnitProgress
from deployments.tasks import TaskStatus
from models.job import JobStats


class Verdict(StrEnum):
    """The tracker's answer to a replica that reports on a task."""

    CONTINUE = "continue"
    STOP = "stop"
    """Cancelled, ended, or given to another attempt: stop, and publish nothing."""


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """One attempt at one task, sent to a replica."""

    task_id: str
    attempt: int
    input_name: str
    """Of its files in the archive."""
    traceparent: str = ""
    """W3C: the tracker's span of this attempt; empty when the task is not traced."""
    tracker: str = ""
    """Name of the actor that sent it: during an update, replicas of the new code work for the old tracker, too."""


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """How far one attempt has come."""

    order: TaskOrder
    progress: UnitProgress


@dataclass(frozen=True, slots=True)
class EngineReport:
    """Which engine a replica answers with, and what is not as configured."""

    engine: str
    device: str
    configured_model: str
    model_status: str
    """``ready``, ``loading`` or ``error``: of the configured model."""
    weights_sha256: str | None = None
    degraded: tuple[str, ...] = ()
    error: str = ""
    """Set when no engine can answer at all."""


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """A replica's heartbeat."""

    replica_id: str
    engine: EngineReport
    attempts: tuple[AttemptReport, ...] = ()
    jobs_running: int = 0
    process: dict[str, Any] = field(default_factory=dict)
    """Device, memory and versions, for ``health``."""


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended; the record in the archive that decides, written once."""

    task_id: str
    status: TaskStatus
    attempt: int
    completed_at: float
    started_at: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    stats: JobStats | None = None
    units_done: int = 0
    units_total: int = 0
    regions_done: int = 0
    result_bytes: int = 0
    owner: str = ""
    """The tracker that wrote it, and that owes the callback."""
