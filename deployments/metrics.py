"""What is measured, in one table, and the ways to record it. Exported by Ray as ``ray_<name>`` (docs/operations.md).

Labels are few and bounded: a task id, a client or a URL is never one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """``boundaries``: of histograms, mostly seconds. ``known``: labels, in their order, of which a counter begins at
    zero."""

    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = ()
    boundaries: Sequence[float] = _SECONDS
    known: Sequence[tuple[str, ...]] = ()


METRICS = {
    # -- the model replicas
    "iopaint_jobs": Metric(
        "counter", "Jobs that ended in a replica; outcome is ok, cancelled or an error code.", ("kind", "outcome")
    ),
    "iopaint_job_seconds": Metric("histogram", "Of jobs that went well, decoding to encoding.", ("kind",)),
    "iopaint_stage_seconds": Metric("histogram", "Of jobs that went well, by stage.", ("stage",)),
    "iopaint_jobs_running": Metric("gauge", "Jobs that a replica has taken on."),
    "iopaint_windows": Metric("counter", "Windows that went through an engine.", ("model",)),
    "iopaint_pixels": Metric("counter", "Pixels of these windows.", ("model",)),
    "iopaint_engine_seconds": Metric("counter", "Seconds that an engine worked.", ("model",)),
    "iopaint_batch_windows": Metric(
        "histogram", "Windows that went through an engine in one pass.", ("model",), (1, 2, 4, 8, 16)
    ),
    "iopaint_model_ready": Metric("gauge", "1: the configured model answers; 0: its fallback, or nothing.", ("model",)),
    "iopaint_gpu_memory_bytes": Metric("gauge", "GPU memory that torch holds in a replica."),
    # -- the task tracker
    "iopaint_tasks": Metric("gauge", "Tasks that have not ended, by status.", ("status",)),
    "iopaint_queue_limit": Metric("gauge", "More waiting tasks than this are refused."),
    "iopaint_replicas": Metric("gauge", "Model replicas that are heard of."),
    "iopaint_tasks_ended": Metric(
        "counter",
        "Tasks that ended, by status; code says which error.",
        ("status", "code"),
        known=(("completed", ""), ("cancelled", ""), ("error", "replica_died")),
    ),
    "iopaint_task_wait_seconds": Metric("histogram", "From acceptance to the start of work."),
    "iopaint_task_seconds": Metric("histogram", "From acceptance to the end.", ("status",)),
    "iopaint_attempts_lost": Metric("counter", "Attempts whose replica was lost.", known=((),)),
    "iopaint_callbacks": Metric(
        "counter",
        "Attempts at callbacks; outcome is taken, not_taken or given_up.",
        ("outcome",),
        known=(("taken",), ("not_taken",), ("given_up",)),
    ),
    # -- the guard in the HTTP proxies
    "iopaint_calls_refused": Metric(
        "counter",
        "Calls that the guard ended, by the error's code; Serve's own figures know nothing of them.",
        ("reason",),
        known=(("service_unavailable",), ("body_too_large",), ("upload_timeout",)),
    ),
}


class Metrics(Protocol):
    """Names and labels are those of ``METRICS``. Safe to call from any thread."""

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...
    def observe(self, name: str, value: float, **labels: str) -> None: ...
    def set(self, name: str, value: float, **labels: str) -> None: ...


class NoMetrics:
    """For tests, and for work outside of a cluster."""

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Nothing is kept."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Nothing is kept."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Nothing is kept."""


class RayMetrics:
    """Ray's own metrics: every node's agent offers them to Prometheus."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {name: _make(name, metric) for name, metric in METRICS.items()}
        for name, metric in METRICS.items():
            # To Prometheus, a counter that comes into being at one has not risen: an alert would miss the first event.
            for values in metric.known:
                # Ray's `inc` refuses zero.
                self._made[name]._record(0.0, tags=dict(zip(metric.labels, values, strict=True)))

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        if amount > 0:
            self._made[name].inc(amount, tags=labels)

    def observe(self, name: str, value: float, **labels: str) -> None:
        self._made[name].observe(value, tags=labels)

    def set(self, name: str, value: float, **labels: str) -> None:
        self._made[name].set(value, tags=labels)


def _make(name: str, metric: Metric) -> Any:
    # Not `ray.serve.metrics`: it labels by replica, so that every restart would leave series behind.
    from ray.util import metrics

    if metric.kind == "counter":
        return metrics.Counter(name, metric.description, tag_keys=metric.labels)
    if metric.kind == "gauge":
        return metrics.Gauge(name, metric.description, tag_keys=metric.labels)
    return metrics.Histogram(name, metric.description, boundaries=list(metric.boundaries), tag_keys=metric.labels)
