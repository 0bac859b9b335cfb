"""In-memory collaborators for the edge: fast, and faithful to the protocols in ``ingress.services``."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from deployments.errors import (
    BatchNotFound,
    NothingToDeliver,
    ResultNotReady,
    TaskConflict,
    TaskFinished,
    TaskNotFound,
    TaskRunning,
)
from deployments.tasks import (
    BatchSnapshot,
    BatchSubmission,
    Delivery,
    ServiceState,
    Stage,
    StoredResult,
    TaskCounts,
    TaskInput,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from ingress.config import AppConfig
from ingress.services import Services
from ingress.settings import Settings
from models.detect import TextLine
from models.job import FindText, InpaintJob, JobResult, JobStats, MaskMode, RegionReport

STATS = JobStats(
    "image/png", 320, 240, 1, 600, 0.25, "cv2", "Auto", (), {"decode": 0.01, "inpaint": 0.2},
    regions=(RegionReport(0, MaskMode.STROKES, 0.9, 0.25, "cv2", erased=True, residual_score=0.01),),
)  # fmt: skip


def config(**settings: object) -> AppConfig:
    return AppConfig.from_settings(Settings.model_validate({"iopaint_model": "cv2", **settings}))


def stored(data: bytes) -> StoredResult:
    async def pieces() -> AsyncIterator[bytes]:
        yield data

    return StoredResult(STATS, len(data), pieces())


class FakeInpainter:
    """Answers with the image that it was sent, or with ``error``."""

    def __init__(self) -> None:
        self.jobs: list[InpaintJob] = []
        self.error: Exception | None = None

    async def inpaint(self, job: InpaintJob, image: bytes, mask: bytes | None, request_id: str) -> JobResult:
        self.jobs.append(job)
        if self.error is not None:
            raise self.error
        return JobResult(image, STATS)


class FakeFinder:
    """Finds ``lines`` in every picture, or raises ``error``."""

    def __init__(self) -> None:
        self.lines: tuple[TextLine, ...] = (TextLine(((10, 20), (90, 20), (90.5, 44), (10, 44)), 0.93),)
        self.asked: list[FindText] = []
        self.error: Exception | None = None

    async def detect(self, image: bytes, find: FindText) -> tuple[TextLine, ...]:
        self.asked.append(find)
        if self.error is not None:
            raise self.error
        return self.lines


class FakeTasks:
    """Tasks move when the test says so."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskSnapshot] = {}
        self.digests: dict[str, str] = {}
        self.images: dict[str, bytes] = {}
        self.batches: dict[str, BatchSubmission] = {}
        self.sent: dict[str, list[Delivery]] = {}
        self.watches: set[FakeWatch] = set()
        self.service = ServiceState("healthy", "IOPaint service is running", (), "cv2", "ready", "cv2", "cpu")

    async def submit(self, submission: TaskSubmission, given: TaskInput) -> tuple[TaskSnapshot, bool]:
        known = self.tasks.get(submission.task_id)
        if known is not None:
            if self.digests[submission.task_id] != submission.content_sha256:
                raise TaskConflict("task_id is in use for other content.")
            return known, False
        self.digests[submission.task_id] = submission.content_sha256
        self.images[submission.task_id] = given.image
        snapshot = TaskSnapshot(
            submission.task_id, 1, TaskStatus.PENDING, None, 0.0, 0.0, 0, submission.total_regions,
            "Waiting for a free replica", time.time(), enable_progress=submission.enable_progress,
            progress_interval_s=submission.progress_interval_s, queue_position=0, client=submission.client,
            batch_id=submission.batch_id,
        )  # fmt: skip
        self._publish(snapshot)
        return snapshot, True

    def move(self, task_id: str, status: TaskStatus, progress: float = 0.0, **changes: object) -> None:
        old = self.tasks[task_id]
        ended = time.time() if status.is_terminal else None
        stage = Stage.FINALIZING if status is TaskStatus.COMPLETED else Stage.INPAINTING
        self._publish(
            replace(
                old,
                version=old.version + 1,
                status=status,
                stage=stage,
                overall_progress=progress,
                stage_progress=progress,
                started_at=old.started_at or time.time(),
                completed_at=ended,
                stats=STATS if status is TaskStatus.COMPLETED else None,
                queue_position=None,
                message=f"Now {status}",
                **changes,  # type: ignore[arg-type]
            )
        )

    async def get(self, task_id: str) -> TaskSnapshot:
        if task_id not in self.tasks:
            raise TaskNotFound(f"There is no task {task_id}.")
        return self.tasks[task_id]

    async def cancel(self, task_id: str) -> TaskSnapshot:
        snapshot = await self.get(task_id)
        if snapshot.status in (TaskStatus.COMPLETED, TaskStatus.ERROR):
            raise TaskFinished(f"Task {task_id} has already ended.")
        if not snapshot.status.is_terminal:
            self.move(task_id, TaskStatus.CANCELLED, snapshot.overall_progress)
        return self.tasks[task_id]

    async def submit_batch(
        self, batch: BatchSubmission, items: Sequence[tuple[TaskSubmission, TaskInput]]
    ) -> tuple[BatchSnapshot, bool]:
        known = self.batches.setdefault(batch.batch_id, batch)
        if known.content_sha256 != batch.content_sha256:
            raise TaskConflict("batch_id is in use for other content.")
        new = [(await self.submit(submission, given))[1] for submission, given in items]
        return await self.batch(batch.batch_id), any(new)

    async def batch(self, batch_id: str) -> BatchSnapshot:
        if batch_id not in self.batches:
            raise BatchNotFound(f"There is no batch {batch_id}.")
        known = self.batches[batch_id]
        return BatchSnapshot(
            batch_id, time.time(), known.client, tuple(self.tasks[t] for t in known.task_ids if t in self.tasks)
        )

    async def cancel_batch(self, batch_id: str) -> BatchSnapshot:
        for task in (await self.batch(batch_id)).tasks:
            if not task.status.is_terminal:
                await self.cancel(task.task_id)
        return await self.batch(batch_id)

    async def batch_results(self, batch: BatchSnapshot) -> AsyncIterator[tuple[TaskSnapshot, StoredResult | None]]:
        for task in batch.tasks:
            done = task.status is TaskStatus.COMPLETED
            yield task, stored(self.images[task.task_id]) if done else None

    async def delete(self, task_id: str) -> None:
        if not (await self.get(task_id)).status.is_terminal:
            raise TaskRunning(f"Task {task_id} has not ended.")
        del self.tasks[task_id]

    async def deliveries(self, task_id: str) -> list[Delivery]:
        await self.get(task_id)
        return self.sent.get(task_id, [])

    async def redeliver(self, task_id: str) -> list[Delivery]:
        if not await self.deliveries(task_id):
            raise NothingToDeliver(f"Task {task_id} was submitted without a callback_url.")
        return self.sent[task_id]

    async def counts(self, client: str | None = None) -> TaskCounts:
        own = [t for t in self.tasks.values() if client in (None, t.client)]
        by_status = {s: sum(t.status is s for t in own) for s in TaskStatus}
        active = tuple(t.task_id for t in own if not t.status.is_terminal)
        return TaskCounts(**{s.value: n for s, n in by_status.items()}, active_task_ids=active, max_queued=1000)

    async def result(self, task_id: str) -> StoredResult:
        snapshot = await self.get(task_id)
        if snapshot.status is not TaskStatus.COMPLETED:
            raise ResultNotReady(f"Task {task_id} has no result.")
        return stored(self.images[task_id])

    async def state(self) -> ServiceState:
        return self.service

    def watch(self) -> "FakeWatch":
        return FakeWatch(self)

    def _publish(self, snapshot: TaskSnapshot) -> None:
        self.tasks[snapshot.task_id] = snapshot
        for watch in self.watches:
            watch.offer(snapshot)


class FakeWatch:
    def __init__(self, tasks: FakeTasks) -> None:
        self._tasks = tasks
        self._followed: set[str] = set()
        self._all = False
        self._newest: dict[str, TaskSnapshot] = {}

    async def __aenter__(self) -> Self:
        self._tasks.watches.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.watches.discard(self)

    def add(self, task_id: str) -> None:
        self._followed.add(task_id)
        if task_id in self._tasks.tasks:
            self._newest[task_id] = self._tasks.tasks[task_id]

    def remove(self, task_id: str) -> None:
        self._followed.discard(task_id)

    def follow_all(self, on: bool) -> None:
        self._all = on

    def offer(self, snapshot: TaskSnapshot) -> None:
        if self._all or snapshot.task_id in self._followed or snapshot.batch_id in self._followed:
            self._newest[snapshot.task_id] = snapshot

    async def changes(self, timeout_s: float) -> list[TaskSnapshot]:
        end = time.monotonic() + timeout_s
        # Polled, because the test client drives the application from another thread.
        while not self._newest and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        found, self._newest = list(self._newest.values()), {}
        return found


async def allow_callback(url: str) -> None:
    """The policy has tests of its own."""


async def metrics_text() -> bytes:
    return b"ray_iopaint_queue_limit 1000.0\n"


def services(finder: FakeFinder | None = None) -> tuple[Services, FakeInpainter, FakeTasks]:
    inpainter, tasks = FakeInpainter(), FakeTasks()
    return Services(inpainter, tasks, allow_callback, finder or FakeFinder(), metrics_text), inpainter, tasks
