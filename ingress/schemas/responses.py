"""What the service answers."""

from typing import Any

from pydantic import BaseModel, Field


class ErrorBody(BaseModel):
    """Every error, whatever the call."""

    detail: str = Field(description="One sentence that says what is wrong and what to do.")
    error: str = Field(description="Stable code, snake case.")
    request_id: str = Field(description="Ties the answer to the logs.")


class RootBody(BaseModel):
    name: str = Field(description="Name of the service.")
    version: str = Field(description="Version of the service.")
    status: str = Field(description="Always `running`.")
    docs: str = Field(description="Path of the API documentation.")
    health: str = Field(description="Path of the health check.")
    model: str = Field(description="Model configured.")
    device: str = Field(description="Device configured.")


class HealthBasicsBody(BaseModel):
    """What anyone may know while keys are needed."""

    status: str = Field(description="`healthy`, `starting` or `unhealthy`.")
    message: str = Field(description="The state in words.")
    timestamp: str = Field(description="ISO 8601, UTC.")
    version: str = Field(description="Version of the service.")


class HealthBody(HealthBasicsBody):
    degraded: list[str] = Field(description="What is not as configured, in sentences.")
    diagnostics: dict[str, Any] = Field(description="Replicas and queue.")


class ModelBody(BaseModel):
    name: str = Field(description="Engine that answers now.")
    device: str = Field(description="Device it runs on.")
    status: str = Field(description="`ready`, `loading` or `error`: of the configured model.")
    parameters: dict[str, Any] = Field(description="`configured_model`, `weights_sha256`.")


class LimitsBody(BaseModel):
    max_image_size: int = Field(description="Longest side of one pass of an engine, pixels.")
    max_pixels: int = Field(description="Pixels of an image.")
    max_file_size: int = Field(description="Bytes of one decoded file.")
    max_body_size: int = Field(description="Bytes of the body of one call, batches excepted.")
    max_regions: int = Field(description="Regions in one request.")
    max_polygon_points: int = Field(description="Corners of all polygons of one request.")
    max_json_depth: int = Field(description="How deep JSON may be nested.")
    max_batch_items: int = Field(description="Items of one batch.")
    max_batch_bytes: int = Field(description="Bytes of all decoded files of one batch.")
    max_batch_body_size: int = Field(description="Bytes of the body of a batch.")
    max_queued_tasks: int = Field(description="Tasks waiting, of all clients.")
    max_tasks_per_client: int = Field(description="Tasks of one client that have not ended; 0: no bound.")
    requests_per_minute: int = Field(description="Calls that bring work, for each client; 0: no bound.")
    max_websockets_per_client: int = Field(description="WebSockets of one client.")
    max_subscriptions: int = Field(description="Subscriptions of one WebSocket.")
    max_message_chars: int = Field(description="Characters of one WebSocket message.")
    upload_idle_timeout: float = Field(description="Seconds without a byte of a body.")
    request_timeout: float = Field(description="Seconds for a synchronous call.")
    supported_formats: list[str] = Field(description="Formats that are accepted.")


class InfoBody(BaseModel):
    name: str = Field(description="Name of the service.")
    version: str = Field(description="Version of the service.")
    model: ModelBody = Field(description="As `/model`.")
    capabilities: list[str] = Field(description="What the service offers.")
    models: list[str] = Field(description="What the field `model` may name.")
    limits: LimitsBody = Field(description="Limits that hold.")


class LineBody(BaseModel):
    points: list[tuple[float, float]] = Field(
        description="Corners as [x, y] in pixels, clockwise from the top left; four unless the line is curved."
    )
    score: float = Field(description="0 to 1.")


class LinesBody(BaseModel):
    lines: list[LineBody] = Field(description="Lines of text, in reading order.")


class DimensionsBody(BaseModel):
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")


class RegionBody(BaseModel):
    index: int = Field(description="Counts from 0, in the order of the request.")
    mode: str = Field(description="What was replaced in the end: `box` or `strokes`.")
    confidence: float | None = Field(description="0 to 1, that these are the strokes; null: not looked for.")
    masked_share: float = Field(description="Of the region's pixels.")
    model: str = Field(description="Engine, or the fill that it chose.")
    erased: bool | None = Field(
        description="Whether no text is visible any more; null: not judged, or the strokes were unsure."
    )
    residual_score: float | None = Field(description="0: nothing is left, 1: all of it; null: not judged.")
    trial_error: float | None = Field(
        description="Of `model` in the trial by which it was chosen, levels of 255 (RMS); null: it was not chosen so."
    )


class StatsBody(BaseModel):
    regions_processed: int = Field(description="Number of regions.")
    total_area: int = Field(description="Masked pixels.")
    processing_time: float = Field(description="Seconds.")
    image_dimensions: DimensionsBody = Field(description="Size of the result.")
    model: str = Field(description="Engine used.")
    hd_strategy: str = Field(description="Strategy used.")
    notes: list[str] = Field(description="Where less or other than asked was done.")
    stage_times: dict[str, float] = Field(description="Seconds per stage.")
    regions: list[RegionBody] = Field(description="Each region; empty where a mask was sent.")


class JsonBody(BaseModel):
    success: bool = Field(description="Always true; errors have their own shape.")
    message: str = Field(description="What was done.")
    processing_stats: StatsBody = Field(description="Figures.")
    timestamp: str = Field(description="ISO 8601, UTC.")


class AcceptedBody(BaseModel):
    task_id: str = Field(description="Id of the task.")
    status: str = Field(description="`pending`, or the state of a task that existed.")
    message: str = Field(description="The state in words.")
    estimated_time: float | None = Field(
        description="Seconds until the end, from measured tasks; null before the first."
    )
    websocket_url: str | None = Field(description="Where progress is sent; null without `enable_progress`.")


class TaskBody(BaseModel):
    task_id: str = Field(description="Id of the task.")
    status: str = Field(description="pending, preparing, processing, completed, error or cancelled.")
    stage: str | None = Field(description="preparing, masking, inpainting or finalizing.")
    overall_progress: float = Field(description="0 to 100, never falls.")
    stage_progress: float = Field(description="0 to 100 within the stage.")
    current_region: int = Field(description="Regions finished.")
    total_regions: int = Field(description="Regions of the task.")
    message: str = Field(description="The state in words.")
    elapsed_time: float = Field(description="Seconds.")
    estimated_remaining: float | None = Field(description="Seconds, from the task's own pace.")
    created_at: str = Field(description="ISO 8601, UTC.")
    started_at: str | None = Field(description="ISO 8601, UTC.")
    completed_at: str | None = Field(description="ISO 8601, UTC.")
    updated_at: str = Field(description="When this state arose.")
    error_message: str | None = Field(description="Why it failed.")
    error: str | None = Field(description="Stable error code.")
    queue_position: int | None = Field(description="Tasks before this one, while it waits.")
    result_url: str | None = Field(description="Where the picture is, once completed.")
    regions: list[RegionBody] = Field(
        description="What was done to each region, and whether its text is gone; empty until completed."
    )


class CancelBody(BaseModel):
    task_id: str = Field(description="Id of the task.")
    status: str = Field(description="Always `cancelled`.")
    message: str = Field(description="The state in words.")
    units_done: int = Field(description="Units of work done.")
    units_total: int = Field(description="Units of work of the task; 0 before it was planned.")


class TasksBody(BaseModel):
    total_tasks: int = Field(description="Tasks remembered.")
    active_tasks: int = Field(description="Not ended.")
    completed_tasks: int = Field(description="Completed.")
    error_tasks: int = Field(description="Failed.")
    pending_tasks: int = Field(description="Waiting.")
    cancelled_tasks: int = Field(description="Cancelled.")
    max_queued_tasks: int = Field(description="More than so many waiting are refused.")
    estimated_wait: float | None = Field(description="Seconds until a task sent now would end.")
    active_task_ids: list[str] = Field(description="Ids of tasks not ended.")


class DeletedBody(BaseModel):
    task_id: str = Field(description="Id of the task.")
    status: str = Field(description="Always `deleted`.")
    message: str = Field(description="What was done.")


class TaskStatsBody(BaseModel):
    task_id: str = Field(description="Id of the task.")
    status: str = Field(description="As in `/task-status`.")
    created_at: str = Field(description="ISO 8601, UTC.")
    started_at: str | None = Field(description="ISO 8601, UTC; null while it waits.")
    completed_at: str | None = Field(description="ISO 8601, UTC; null while it has not ended.")
    waiting_time: float = Field(description="Seconds from acceptance to the start of work, so far.")
    working_time: float | None = Field(description="Seconds from the start of work to the end, so far.")
    units_done: int = Field(description="Units of work done.")
    units_total: int = Field(description="Units of work of the task; 0 before it was planned.")
    processing_stats: StatsBody | None = Field(description="What was done and where the time went, once completed.")


class DeliveryBody(BaseModel):
    number: int = Field(description="Counts from 1.")
    at: str = Field(description="ISO 8601, UTC.")
    taken: bool = Field(description="Whether the receiver took it.")
    answer: str = Field(description="What the receiver said, or why it was not reached.")
    next_at: str | None = Field(description="When it is tried again; null: never.")


class DeliveriesBody(BaseModel):
    task_id: str = Field(description="Id of the task.")
    deliveries: list[DeliveryBody] = Field(description="Attempts at the callback, oldest first.")


class BatchAcceptedBody(BaseModel):
    batch_id: str = Field(description="Id of the batch.")
    task_ids: list[str] = Field(description="Ids of its tasks, in the order of the items.")
    websocket_url: str = Field(description="The general endpoint; `subscribe_task` takes the batch id.")


class BatchBody(BaseModel):
    batch_id: str = Field(description="Id of the batch.")
    status: str = Field(description="pending, processing, completed, completed_with_errors, error or cancelled.")
    counts: dict[str, int] = Field(description="Tasks by status.")
    overall_progress: float = Field(description="0 to 100.")
    created_at: str = Field(description="ISO 8601, UTC.")
    result_url: str | None = Field(description="Where the zip is, once all tasks have ended.")
    tasks: list[TaskBody] = Field(description="Each task, as `/task-status` tells it.")
