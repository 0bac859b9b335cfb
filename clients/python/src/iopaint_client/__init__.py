"""Client of the IOPaint text removal service: ``Client`` and ``AsyncClient`` offer the same calls."""

from iopaint_client.aio.client import AsyncClient
from iopaint_client.aio.tasks import AsyncBatch, AsyncTask
from iopaint_client.errors import (
    Conflict,
    ConnectionFailed,
    InvalidArgument,
    InvalidRequest,
    NotFound,
    QueueFull,
    ResultExpired,
    ServiceError,
    TaskCancelled,
    TaskFailed,
    TextRemovalClientError,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from iopaint_client.options import Options, TextOptions, WorkOptions
from iopaint_client.pictures import ImageInput, Picture
from iopaint_client.regions import Polygon, Rect, RegionInput
from iopaint_client.retries import Retries
from iopaint_client.states import BatchItem, BatchState, Delivery, Health, Info, Queue, TaskState, TextLine, Update
from iopaint_client.sync.client import Client
from iopaint_client.sync.tasks import Batch, Task

__all__ = [
    "AsyncBatch",
    "AsyncClient",
    "AsyncTask",
    "Batch",
    "BatchItem",
    "BatchState",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Delivery",
    "Health",
    "ImageInput",
    "Info",
    "InvalidArgument",
    "InvalidRequest",
    "NotFound",
    "Options",
    "Picture",
    "Polygon",
    "Queue",
    "QueueFull",
    "Rect",
    "RegionInput",
    "ResultExpired",
    "Retries",
    "ServiceError",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "TaskState",
    "TextLine",
    "TextOptions",
    "TextRemovalClientError",
    "TimedOut",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Update",
    "WorkOptions",
]
