"""What the replicas last said of themselves, and what health tells from it. No replica is asked."""

import time
from dataclasses import asdict

from deployments.protocol import EngineReport, ReplicaReport
from deployments.tasks import ServiceState, TaskCounts


class Fleet:
    """Replicas by id; one that is silent for a lease no longer counts."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._heard: dict[str, tuple[float, ReplicaReport]] = {}
        self._last: ReplicaReport | None = None
        self._lost = False
        """The last one fell silent without a goodbye."""

    def heard(self, report: ReplicaReport) -> None:
        self._heard[report.replica_id] = (time.monotonic(), report)
        self._last, self._lost = report, False

    def gone(self, replica_id: str) -> None:
        self._heard.pop(replica_id, None)

    @property
    def is_unknown(self) -> bool:
        """No replica was heard that had an engine or could say why it has none, or all that were have died."""
        told = self._last is not None and bool(self._last.engine.engine or self._last.engine.error)
        return not told or (not self._alive() and self._lost)

    def size(self) -> int:
        return len(self._alive())

    def state(self, counts: TaskCounts) -> ServiceState:
        """Healthy means: requests are answered. A service scaled to zero is, from what the last replica said."""
        alive = self._alive()
        reports = alive or ([self._last] if self._last and not self._lost else [])
        able = [r.engine for r in reports if r.engine.engine]
        engine = able[-1] if able else (reports[-1].engine if reports else EngineReport("", "", "", "loading"))
        if able:
            status, message = "healthy", "IOPaint service is running"
        elif engine.error:
            status, message = "unhealthy", engine.error
        elif self._lost and not alive:
            status, message = "starting", "No model replica is left; waiting for a new one"
        else:
            status, message = "starting", "The model replicas are starting"
        degraded = tuple(dict.fromkeys(sentence for report in reports for sentence in report.engine.degraded))
        queue = {key: value for key, value in asdict(counts).items() if key != "active_task_ids"}
        return ServiceState(
            status=status,
            message=message,
            degraded=degraded,
            configured_model=engine.configured_model,
            model_status=engine.model_status,
            engine=engine.engine,
            device=engine.device,
            weights_sha256=engine.weights_sha256,
            diagnostics={
                "replicas": [
                    {"id": r.replica_id, "engine": r.engine.engine, "jobs_running": r.jobs_running} | r.process
                    for r in alive
                ],
                "model": {
                    "configured": engine.configured_model,
                    "status": engine.model_status,
                    "in_use": engine.engine,
                    "device": engine.device,
                    "weights_sha256": engine.weights_sha256,
                },
                "tasks": queue,
            },
        )

    def _alive(self) -> list[ReplicaReport]:
        now = time.monotonic()
        # Replicas that end without a goodbye fall silent; they are dropped here so that the table stays small.
        heard = {k: v for k, v in self._heard.items() if now - v[0] < self._lease_s}
        self._lost = self._lost or (bool(self._heard) and not heard)
        self._heard = heard
        return [report for _, report in self._heard.values()]
