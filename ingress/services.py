"""The few collaborators that routes use, as protocols: the real ones call Ray, the tests' ones are plain classes."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from deployments.detect_client import LineFinder
from deployments.tasks import (
    BatchSnapshot,
    BatchSubmission,
    Delivery,
    ServiceState,
    StoredResult,
    TaskCounts,
    TaskInput,
    TaskSnapshot,
    TaskSubmission,
)
from models.job import InpaintJob, JobResult


class InpaintService(Protocol):
    async def inpaint(self, job: InpaintJob, image: bytes, mask: bytes | None, request_id: str) -> JobResult:
        """Do one job now. Cancelling the coroutine stops the work within one unit.

        Raises any ``TextRemovalError``; ``DeadlineExceeded`` after the configured time.
        """
        ...


class Watch(Protocol):
    """One reader of task changes. It gets the newest snapshot of each changed task, never a backlog."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, task_id: str) -> None:
        """Follow a task, known or not yet; its current snapshot, if there is one, comes from ``changes`` at once."""
        ...

    def remove(self, task_id: str) -> None: ...

    def follow_all(self, on: bool) -> None:
        """Follow every task (changes from now on) until turned off; single ``add``s stay."""
        ...

    async def changes(self, timeout_s: float) -> list[TaskSnapshot]:
        """The newest snapshot of every followed task that changed since the last call; empty when none did in time.

        A terminal snapshot is always delivered.
        """
        ...


class TaskService(Protocol):
    async def submit(self, submission: TaskSubmission, given: TaskInput) -> tuple[TaskSnapshot, bool]:
        """Accept a task durably. The flag is False when the same task was accepted before (idempotent submit).

        Raises ``TaskConflict`` (id in use for other content), ``QueueFull``.
        """
        ...

    async def get(self, task_id: str) -> TaskSnapshot:
        """Raises ``TaskNotFound``."""
        ...

    async def cancel(self, task_id: str) -> TaskSnapshot:
        """Final at once. Raises ``TaskNotFound``, ``TaskFinished`` (completed or error)."""
        ...

    async def submit_batch(
        self, batch: BatchSubmission, items: Sequence[tuple[TaskSubmission, TaskInput]]
    ) -> tuple[BatchSnapshot, bool]:
        """Accept all tasks of a batch durably, or none; otherwise as ``submit``."""
        ...

    async def delete(self, task_id: str) -> None:
        """Forget an ended task and its files. Raises ``TaskNotFound``, ``TaskRunning``."""
        ...

    async def deliveries(self, task_id: str) -> list[Delivery]:
        """The attempts at the task's callback, oldest first. Raises ``TaskNotFound``."""
        ...

    async def redeliver(self, task_id: str) -> list[Delivery]:
        """Send the callback once more. Raises ``TaskNotFound``, ``NothingToDeliver``."""
        ...

    async def batch(self, batch_id: str) -> BatchSnapshot:
        """Raises ``BatchNotFound``."""
        ...

    async def cancel_batch(self, batch_id: str) -> BatchSnapshot:
        """Cancel all tasks of it that have not ended. Raises ``BatchNotFound``."""
        ...

    def batch_results(self, batch: BatchSnapshot) -> AsyncIterator[tuple[TaskSnapshot, StoredResult | None]]:
        """The tasks of an ended batch in order, one result in memory at a time; None for those without one."""
        ...

    async def counts(self, client: str | None = None) -> TaskCounts:
        """Of all clients, or of one."""
        ...

    async def result(self, task_id: str) -> StoredResult:
        """Raises ``TaskNotFound``, ``ResultNotReady``, ``ResultExpired``."""
        ...

    async def state(self) -> ServiceState: ...

    def watch(self) -> Watch: ...


class CallbackCheck(Protocol):
    async def __call__(self, url: str) -> object:
        """Raises ``InvalidField`` naming ``callback_url`` when the service may not call that address."""
        ...


class MetricsText(Protocol):
    async def __call__(self) -> bytes:
        """Prometheus' text format. Raises ``ServiceUnavailable``."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    inpainter: InpaintService
    tasks: TaskService
    check_callback: CallbackCheck
    finder: LineFinder
    metrics: MetricsText
