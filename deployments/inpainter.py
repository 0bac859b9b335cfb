"""The model replica: all image work of a request happens here, in threads, one unit of engine work at a time."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from deployments import diagnostics
from deployments.archive_store import patiently
from deployments.config import InpainterConfig
from deployments.detect_client import LineFinder
from deployments.engine_room import EngineRoom
from deployments.errors import ArchiveUnavailable, ServiceUnavailable
from deployments.memory_gate import MemoryGate
from deployments.metrics import Metrics, NoMetrics
from deployments.progress import UnitProgress
from deployments.protocol import AttemptReport, ReplicaReport, TaskEnd, TaskOrder, Verdict
from deployments.task_archive import TaskArchive
from deployments.task_client import TrackerLink
from deployments.tasks import TaskInput, TaskStatus
from deployments.tracing import TaskSpans
from deployments.window_queue import Priority, QueuedEngine, WindowQueue
from models import codec, cpu, memory
from models.errors import MemoryShort, TextRemovalError, WorkCancelled
from models.job import InpaintJob, JobResult, JobStats
from models.pipeline import process
from models.progress import ProgressEvent

log = logging.getLogger("ray.serve")

HEARTBEAT_S = 2.0
REPORT_GAP_S = 0.1
_STOP_LOOK_S = 0.2
"""Between two looks at whether a detection is still wanted."""


class EngineStuck(Exception):
    """Told to Serve, which then replaces the replica; no client sees it."""


@dataclass(slots=True)
class RunningTask:
    order: TaskOrder
    progress: UnitProgress = field(default_factory=UnitProgress)
    stop: threading.Event = field(default_factory=threading.Event)


class Inpainter:
    """Runs jobs; reports units done; stops when told. Collaborators are injected by the deployment's builder."""

    def __init__(
        self, config: InpainterConfig, room: EngineRoom, archive: TaskArchive, tracker: TrackerLink, replica_id: str,
        finder: LineFinder, metrics: Metrics | None = None, link_to: Callable[[str], TrackerLink] | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._room = room
        self._archive = archive
        self._tracker = tracker
        self._link_to = link_to or (lambda name: tracker)
        self._replica_id = replica_id
        self._finder = finder
        self._metrics = metrics or NoMetrics()
        self._spans = TaskSpans()
        self._queue = WindowQueue(self._metrics, config.max_batch)
        self._memory = MemoryGate(config.job_budget_bytes())
        self._max_pixels = config.max_pixels
        self._threads = ThreadPoolExecutor(config.workers, "job", cpu.prepare_thread)
        self._tasks: dict[str, RunningTask] = {}
        self._jobs_running = 0
        self._news = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin loading the engine and reporting; called once, on the replica's event loop."""
        loop = asyncio.get_running_loop()
        self._loops = [loop.create_task(self._room.run()), loop.create_task(self._report_loop())]

    @property
    def started(self) -> bool:
        return bool(self._loops)

    async def inpaint(self, job: InpaintJob, image: bytes, mask: bytes | None) -> JobResult:
        """A synchronous call. Cancelling it (the client is gone, the deadline passed) stops the work."""
        return await self._process(job, image, mask, Priority.INTERACTIVE, threading.Event(), _ignore)

    async def run_task(self, order: TaskOrder) -> None:
        """One attempt at a task: read the input, work, store the result, then tell the tracker the end."""
        tracker = self._link_to(order.tracker)
        if await tracker.begin(order) is Verdict.STOP:
            return
        running = RunningTask(order)
        self._tasks[order.task_id] = running
        started_at = time.time()
        try:
            with self._spans.span("work on task", order.traceparent, task_id=order.task_id):
                end = await self._attempt(running, started_at)
            if end is not None:
                # Still among the tasks that the heartbeat names: while the archive is away this takes longer than an
                # attempt may be silent.
                await patiently(lambda: tracker.finish(end))
        finally:
            running.stop.set()
            self._tasks.pop(order.task_id, None)

    async def introduce(self) -> ReplicaReport:
        """A heartbeat when asked, once an engine can answer or it is known why none can. The call keeps the replica."""
        await self._room.settled.wait()
        return self._report()

    def limit_pixels(self, max_pixels: int | None) -> None:
        """For jobs that come from now on; None: as configured."""
        self._max_pixels = max_pixels or self._config.max_pixels

    def limit_batch(self, max_batch: int | None) -> None:
        """For passes that begin from now on; None: as configured."""
        self._queue.max_batch = max_batch or self._config.max_batch

    async def check_health(self) -> None:
        """Async on purpose: a synchronous check starves behind busy threads, and Serve replaces the replica.

        Fails when the engine hangs (a driver's fault, as a rule): nothing but a new process helps then.
        """
        stuck_s = self._queue.stuck_s()
        if stuck_s > self._config.stuck_after_s:
            raise EngineStuck(f"The engine has worked on one unit for {stuck_s:.0f} s; the replica must be replaced.")

    async def close(self) -> None:
        for loop in self._loops:
            loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tracker.forget_replica(self._replica_id)

    async def _attempt(self, running: RunningTask, started_at: float) -> TaskEnd | None:
        order = running.order

        def on_progress(event: ProgressEvent) -> None:
            running.progress = running.progress.after(event)
            loop.call_soon_threadsafe(self._news.set)

        loop = asyncio.get_running_loop()
        try:
            await self._room.settled.wait()  # it was accepted: an engine that loads is no reason to fail
            given = await patiently(lambda: self._archive.input(order))
            result = await self._with_patience(running, given, on_progress)
            await patiently(lambda: self._archive.put_result(order.task_id, order.attempt, result.data))
        except WorkCancelled:
            return None  # the tracker knows: it said so
        except ArchiveUnavailable:
            raise  # no fault of the task: the tracker has it done again
        except TextRemovalError as error:
            return _end(running, started_at, TaskStatus.ERROR, error_code=error.code, error_message=error.message)
        return _end(running, started_at, TaskStatus.COMPLETED, stats=result.stats, result_bytes=len(result.data))

    async def _with_patience(
        self, running: RunningTask, given: TaskInput, on_progress: Callable[[ProgressEvent], None]
    ) -> JobResult:
        """It was accepted: memory or a detector that is short for a moment is no reason to fail."""
        for wait_s in (*self._config.shortage_waits_s, None):
            running.stop = threading.Event()  # each try sets its own when it ends; who cancels tells each heartbeat
            try:
                return await self._process(given.job, given.image, given.mask, Priority.TASK, running.stop, on_progress)
            except (MemoryShort, ServiceUnavailable):
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    async def _process(
        self,
        job: InpaintJob,
        image: bytes,
        mask: bytes | None,
        priority: Priority,
        stop: threading.Event,
        on_progress: Callable[[ProgressEvent], None],
    ) -> JobResult:
        found = await self._with_lines(job, image, stop)
        header = await asyncio.to_thread(codec.probe, image, max_pixels=self._max_pixels)
        with contextlib.ExitStack() as held:
            held.callback(memory.trim)
            held.callback(await self._memory.enter(found.job, header))
            lease = await self._room.lease(job.model)
            held.callback(lease.release)
            engine = QueuedEngine(lease.engine, self._queue, priority)

            def work() -> JobResult:
                return process(
                    found.job,
                    image,
                    mask,
                    engine,
                    max_pixels=self._max_pixels,
                    max_window_px=self._config.max_window_px,
                    on_progress=on_progress,
                    should_stop=stop.is_set,
                )

            future = self._threads.submit(work)
            running = held.pop_all()  # a cancelled await leaves the thread running, with all that it holds
            future.add_done_callback(lambda _: running.close())
        return found.timed(await self._outcome(future, priority, stop))

    async def _outcome(self, future: "Future[JobResult]", priority: Priority, stop: threading.Event) -> JobResult:
        """Wait for a job's thread, and count how it ended."""
        self._jobs_running += 1
        try:
            result = await asyncio.wrap_future(future)
        except (WorkCancelled, asyncio.CancelledError):
            self._metrics.count("iopaint_jobs", kind=priority.name.lower(), outcome="cancelled")
            raise
        except TextRemovalError as error:
            self._metrics.count("iopaint_jobs", kind=priority.name.lower(), outcome=error.code)
            raise
        else:
            self._measure(result.stats, priority)
            return result
        finally:
            # The flag ends the thread before its next unit.
            stop.set()
            self._jobs_running -= 1

    async def _with_lines(self, job: InpaintJob, image: bytes, stop: threading.Event) -> "_Found":
        """The job with the regions that it asks to be found. An attempt that starts over finds the same ones."""
        if job.find_text is None or job.regions is not None:
            return _Found(job)
        started = time.perf_counter()
        call = asyncio.ensure_future(self._finder.detect(image, job.find_text))
        try:
            while not (await asyncio.wait({call}, timeout=_STOP_LOOK_S))[0]:
                if stop.is_set():
                    raise WorkCancelled("Cancelled while text was looked for.")
        finally:
            call.cancel()
        regions = tuple(line.region() for line in call.result())
        return _Found(replace(job, regions=regions), time.perf_counter() - started)

    def _measure(self, stats: JobStats, priority: Priority) -> None:
        kind = priority.name.lower()
        self._metrics.count("iopaint_jobs", kind=kind, outcome="ok")
        self._metrics.observe("iopaint_job_seconds", stats.processing_time_s, kind=kind)
        for stage, seconds in stats.stage_times_s.items():
            self._metrics.observe("iopaint_stage_seconds", seconds, stage=stage)

    def _report(self) -> ReplicaReport:
        attempts = tuple(AttemptReport(task.order, task.progress) for task in self._tasks.values())
        engine = self._room.report()
        process = diagnostics.process(engine.device)
        ready = engine.model_status == "ready"
        self._metrics.set("iopaint_model_ready", float(ready), model=self._config.model)
        self._metrics.set("iopaint_jobs_running", float(self._jobs_running))
        self._metrics.set("iopaint_gpu_memory_bytes", float(process["memory"].get("gpu_held_bytes", 0)))
        return ReplicaReport(self._replica_id, engine, attempts, self._jobs_running, process)

    def _reports(self) -> list[tuple[TrackerLink, ReplicaReport]]:
        """To our own tracker in any case, and to each that we work for."""
        report = self._report()
        shares: dict[TrackerLink, list[AttemptReport]] = {self._tracker: []}
        for attempt in report.attempts:
            shares.setdefault(self._link_to(attempt.order.tracker), []).append(attempt)
        return [(tracker, replace(report, attempts=tuple(attempts))) for tracker, attempts in shares.items()]

    async def _report_loop(self) -> None:
        """A heartbeat every 2 s, sooner when units end; the answer says which attempts should stop."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()
            self._news.clear()
            for tracker, report in self._reports():
                for task_id, verdict in (await tracker.report(report)).items():
                    running = self._tasks.get(task_id)
                    if verdict is Verdict.STOP and running is not None:
                        running.stop.set()
            await asyncio.sleep(REPORT_GAP_S)


@dataclass(frozen=True, slots=True)
class _Found:
    """A job whose regions are known, and what finding them took."""

    job: InpaintJob
    seconds: float | None = None

    def timed(self, result: JobResult) -> JobResult:
        if self.seconds is None:
            return result
        stats = result.stats
        return replace(
            result,
            stats=replace(
                stats,
                processing_time_s=round(stats.processing_time_s + self.seconds, 4),
                stage_times_s={"detect": round(self.seconds, 4)} | stats.stage_times_s,
            ),
        )


def _ignore(event: ProgressEvent) -> None:
    """Nobody watches a synchronous call."""


def _end(running: RunningTask, started_at: float, status: TaskStatus, **extra: Any) -> TaskEnd:
    progress = running.progress
    return TaskEnd(
        task_id=running.order.task_id,
        status=status,
        attempt=running.order.attempt,
        completed_at=time.time(),
        started_at=started_at,
        units_done=progress.units_done,
        units_total=progress.units_total,
        regions_done=progress.regions_done,
        **extra,
    )
