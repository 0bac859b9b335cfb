"""Domain to wire: the only maker of response bodies, headers and WebSocket messages."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from deployments.tasks import BatchSnapshot, Delivery, ServiceState, TaskCounts, TaskSnapshot, TaskStatus
from ingress.config import NAME, VERSION, AppConfig
from ingress.schemas import responses as wire
from models.detect import TextLine
from models.job import JobStats

_SUFFIX = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
RESULT_PATH = "/api/v1/task-result/"


def timestamp(epoch_s: float | None = None) -> str:
    """ISO 8601, UTC; now when nothing is given."""
    return datetime.fromtimestamp(time.time() if epoch_s is None else epoch_s, UTC).isoformat()


def _optional(epoch_s: float | None) -> str | None:
    return None if epoch_s is None else timestamp(epoch_s)


def root(config: AppConfig) -> wire.RootBody:
    return wire.RootBody(
        name=NAME,
        version=VERSION,
        status="running",
        docs="/docs",
        health="/api/v1/health",
        model=config.model,
        device=config.device,
    )


def health(state: ServiceState) -> wire.HealthBody:
    return wire.HealthBody(
        status=state.status,
        message=state.message,
        timestamp=timestamp(),
        version=VERSION,
        degraded=list(state.degraded),
        diagnostics=state.diagnostics,
    )


def health_basics(state: ServiceState) -> wire.HealthBasicsBody:
    """Without what the extensions tell: for callers without a key, while keys are needed."""
    return wire.HealthBasicsBody(status=state.status, message=state.message, timestamp=timestamp(), version=VERSION)


def model(state: ServiceState, config: AppConfig) -> wire.ModelBody:
    return wire.ModelBody(
        name=state.engine or config.model,
        device=state.device or config.device,
        status=state.model_status,
        parameters={"configured_model": config.model, "weights_sha256": state.weights_sha256},
    )


def info(state: ServiceState, config: AppConfig) -> wire.InfoBody:
    return wire.InfoBody(
        name=NAME,
        version=VERSION,
        model=model(state, config),
        capabilities=[
            "mask",
            "regions",
            "polygons",
            "async",
            "progress",
            "cancel",
            "callback",
            "multipart",
            "batch",
            "text",
        ],
        models=list(config.models),
        limits=wire.LimitsBody(
            max_image_size=config.max_image_size,
            max_pixels=config.max_pixels,
            max_file_size=config.max_file_size,
            max_body_size=config.max_body_bytes,
            max_regions=config.max_regions,
            max_polygon_points=config.max_polygon_points,
            max_json_depth=config.max_json_depth,
            max_batch_items=config.max_batch_items,
            max_batch_bytes=config.max_batch_bytes,
            max_batch_body_size=config.max_batch_body_bytes,
            max_queued_tasks=config.max_queued_tasks,
            max_tasks_per_client=config.max_tasks_per_client,
            requests_per_minute=config.requests_per_minute,
            max_websockets_per_client=config.max_websockets_per_client,
            max_subscriptions=config.max_subscriptions,
            max_message_chars=config.max_message_chars,
            upload_idle_timeout=config.upload_idle_timeout_s,
            request_timeout=config.request_timeout_s,
            supported_formats=list(config.supported_formats),
        ),
    )


def image_headers(stats: JobStats, with_regions: bool) -> dict[str, str]:
    """Texts are percent-encoded where a header cannot carry them: beyond ASCII, ends of lines, and the sign itself."""
    headers = {
        "X-Processing-Time": f"{stats.processing_time_s:.3f}",
        "X-Timestamp": timestamp(),
        "X-Model": quote(stats.model, _PRINTABLE),
        "X-HD-Strategy": stats.hd_strategy,
        "Content-Disposition": f"inline; filename=inpainted.{_SUFFIX[stats.media_type]}",
    }
    if with_regions:
        headers |= {"X-Regions-Count": str(stats.regions_processed), "X-Total-Area": str(stats.total_area)}
    judged = [one.erased for one in stats.regions if one.erased is not None]
    if judged:
        headers["X-Erased"] = f"{sum(judged)}/{len(judged)}"
    if stats.seed is not None:
        headers["X-Seed"] = str(stats.seed)
    if stats.notes:
        headers["X-Notes"] = quote(" ".join(stats.notes), _PRINTABLE)
    return headers


def suffix(media_type: str) -> str:
    """Of a file name."""
    return _SUFFIX[media_type]


def stats_json(stats: JobStats) -> wire.JsonBody:
    return wire.JsonBody(
        success=True,
        message=f"Removed text from {stats.regions_processed} regions",
        processing_stats=_stats(stats),
        timestamp=timestamp(),
    )


def lines(found: Sequence[TextLine]) -> wire.LinesBody:
    return wire.LinesBody(lines=[wire.LineBody(points=list(line.points), score=line.score) for line in found])


def _stats(stats: JobStats) -> wire.StatsBody:
    return wire.StatsBody(
        regions_processed=stats.regions_processed,
        total_area=stats.total_area,
        processing_time=stats.processing_time_s,
        image_dimensions=wire.DimensionsBody(width=stats.width, height=stats.height),
        model=stats.model,
        hd_strategy=stats.hd_strategy,
        notes=list(stats.notes),
        stage_times=stats.stage_times_s,
        regions=_regions(stats),
    )


def _regions(stats: JobStats) -> list[wire.RegionBody]:
    return [wire.RegionBody.model_validate(asdict(one)) for one in stats.regions]


def task_stats(snapshot: TaskSnapshot) -> wire.TaskStatsBody:
    now = time.time()
    ended_at = snapshot.completed_at or now
    # A task that is cancelled while it waits never starts.
    began_at = snapshot.started_at or ended_at
    return wire.TaskStatsBody(
        task_id=snapshot.task_id,
        status=snapshot.status.value,
        created_at=timestamp(snapshot.created_at),
        started_at=_optional(snapshot.started_at),
        completed_at=_optional(snapshot.completed_at),
        waiting_time=round(max(0.0, began_at - snapshot.created_at), 3),
        working_time=round(max(0.0, ended_at - began_at), 3) if snapshot.started_at else None,
        units_done=snapshot.units_done,
        units_total=snapshot.units_total,
        processing_stats=_stats(snapshot.stats) if snapshot.stats else None,
    )


def accepted(snapshot: TaskSnapshot, estimated_s: float | None, websocket_url: str) -> wire.AcceptedBody:
    return wire.AcceptedBody(
        task_id=snapshot.task_id,
        status=snapshot.status.value,
        message=snapshot.message,
        estimated_time=estimated_s,
        websocket_url=websocket_url if snapshot.enable_progress else None,
    )


def task(snapshot: TaskSnapshot, base_url: str) -> wire.TaskBody:
    done = snapshot.status is TaskStatus.COMPLETED
    return wire.TaskBody(
        task_id=snapshot.task_id,
        status=snapshot.status.value,
        stage=snapshot.stage.value if snapshot.stage else None,
        overall_progress=snapshot.overall_progress,
        stage_progress=snapshot.stage_progress,
        current_region=snapshot.current_region,
        total_regions=snapshot.total_regions,
        message=snapshot.message,
        elapsed_time=round(snapshot.elapsed_s(time.time()), 3),
        estimated_remaining=snapshot.estimated_remaining_s,
        created_at=timestamp(snapshot.created_at),
        started_at=_optional(snapshot.started_at),
        completed_at=_optional(snapshot.completed_at),
        updated_at=timestamp(snapshot.updated_at),
        error_message=snapshot.error_message,
        error=snapshot.error_code,
        queue_position=snapshot.queue_position,
        result_url=f"{base_url}{RESULT_PATH}{snapshot.task_id}" if done else None,
        regions=_regions(snapshot.stats) if snapshot.stats else [],
    )


def cancelled(snapshot: TaskSnapshot) -> wire.CancelBody:
    return wire.CancelBody(
        task_id=snapshot.task_id,
        status=snapshot.status.value,
        message=snapshot.message,
        units_done=snapshot.units_done,
        units_total=snapshot.units_total,
    )


def deleted(task_id: str) -> wire.DeletedBody:
    return wire.DeletedBody(task_id=task_id, status="deleted", message="The task and its files are gone")


def deliveries(task_id: str, found: list[Delivery]) -> wire.DeliveriesBody:
    return wire.DeliveriesBody(
        task_id=task_id,
        deliveries=[
            wire.DeliveryBody(
                number=one.number, at=timestamp(one.at), taken=one.taken, answer=one.answer,
                next_at=_optional(one.next_at),
            )
            for one in found
        ],
    )  # fmt: skip


def batch_accepted(snapshot: BatchSnapshot, websocket_url: str) -> wire.BatchAcceptedBody:
    return wire.BatchAcceptedBody(
        batch_id=snapshot.batch_id, task_ids=[one.task_id for one in snapshot.tasks], websocket_url=websocket_url
    )


def batch(snapshot: BatchSnapshot, base_url: str) -> wire.BatchBody:
    return wire.BatchBody(
        batch_id=snapshot.batch_id,
        status=snapshot.status,
        counts=snapshot.counts,
        overall_progress=snapshot.overall_progress,
        created_at=timestamp(snapshot.created_at),
        result_url=f"{base_url}/api/v1/batch-result/{snapshot.batch_id}" if snapshot.ended else None,
        tasks=[task(one, base_url) for one in snapshot.tasks],
    )


def tasks(counts: TaskCounts) -> wire.TasksBody:
    active = counts.pending + counts.preparing + counts.processing
    return wire.TasksBody(
        total_tasks=active + counts.completed + counts.error + counts.cancelled,
        active_tasks=active,
        completed_tasks=counts.completed,
        error_tasks=counts.error,
        pending_tasks=counts.pending,
        cancelled_tasks=counts.cancelled,
        max_queued_tasks=counts.max_queued,
        estimated_wait=counts.estimated_wait_s,
        active_task_ids=list(counts.active_task_ids),
    )


def message(kind: str, **fields: Any) -> dict[str, Any]:
    """A WebSocket message from the server."""
    return {"type": kind, "timestamp": timestamp(), **fields}


def progress(snapshot: TaskSnapshot) -> dict[str, Any]:
    """The message for a task's state: progress, or its end."""
    about = {"task_id": snapshot.task_id, "session_id": None}
    if snapshot.status is TaskStatus.COMPLETED:
        result = {
            "processed_image_path": f"{RESULT_PATH}{snapshot.task_id}",
            "processing_time": snapshot.stats.processing_time_s if snapshot.stats else None,
            "regions_processed": snapshot.stats.regions_processed if snapshot.stats else None,
        }
        return message("task_completed", **about, result=result)
    if snapshot.status is TaskStatus.ERROR:
        return message("task_failed", **about, error_message=snapshot.error_message)
    if snapshot.status is TaskStatus.CANCELLED:
        return message("task_cancelled", **about)
    return message(
        "progress_update",
        **about,
        status=snapshot.status.value,
        stage=snapshot.stage.value if snapshot.stage else None,
        progress=snapshot.overall_progress,
        stage_progress=snapshot.stage_progress,
        message=snapshot.message,
        current_region=snapshot.current_region,
        total_regions=snapshot.total_regions,
        elapsed_time=round(snapshot.elapsed_s(time.time()), 3),
        estimated_remaining=snapshot.estimated_remaining_s,
        updated_at=timestamp(snapshot.updated_at),
    )
