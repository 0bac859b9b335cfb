"""What can go wrong, by what the caller can do about it.

TextRemovalClientError
    ConnectionFailed      nobody answered, also after repeats
    TimedOut              no answer, or no end of a task, in time
    UnexpectedAnswer      an answer that is not this service's: a proxy's, or another service
    InvalidArgument       an address, a key or an id that can be none: nothing was sent
    TaskFailed            the task ended in error; ``code`` says why
    TaskCancelled         the task was cancelled
    ServiceError          the service refused; ``code``, ``status``, ``request_id``
        InvalidRequest    400, 415, 422: change the request
        TooLarge          413
        Unauthorized      401, 403: give another key
        NotFound          404
        Conflict          409: the state of the task, or another content under the same id
        ResultExpired     410
        QueueFull         429: later, ``retry_after_s``
        Unavailable       408, 503, 504: later, ``retry_after_s``
"""

from collections.abc import Mapping
from typing import Any


class TextRemovalClientError(Exception):
    """Base of all."""


class ConnectionFailed(TextRemovalClientError):
    """Nobody answered, also after repeats."""


class TimedOut(TextRemovalClientError):
    """No answer, or no end of a task, in time."""


class UnexpectedAnswer(TextRemovalClientError):
    """An answer that is not in the service's shape. ``status`` is HTTP's."""

    def __init__(self, message: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class InvalidArgument(TextRemovalClientError, ValueError):
    """An address, a key or an id that can be none: nothing was sent."""


class TaskFailed(TextRemovalClientError):
    """The task ended in error. ``code`` is stable."""

    def __init__(self, message: str, task_id: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.task_id = task_id
        self.code = code


class TaskCancelled(TextRemovalClientError):
    """The task was cancelled: there is no result."""


class ServiceError(TextRemovalClientError):
    """The service refused. ``code`` is stable, ``request_id`` ties the answer to its logs."""

    def __init__(
        self,
        message: str,
        code: str = "",
        status: int = 0,
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class InvalidRequest(ServiceError):
    """Change the request: the message names the field."""


class TooLarge(ServiceError):
    """More bytes or pixels than the service takes; ``info().limits`` tells them."""


class Unauthorized(ServiceError):
    """No key, or a wrong one."""


class NotFound(ServiceError):
    """No such task, batch or path."""


class Conflict(ServiceError):
    """The state of the task does not allow it, or its id is in use for another content."""


class ResultExpired(ServiceError):
    """The task is known, its picture is gone."""


class QueueFull(ServiceError):
    """Come back after ``retry_after_s``."""


class Unavailable(ServiceError):
    """Come back after ``retry_after_s``."""


_BY_STATUS: dict[int, type[ServiceError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    405: InvalidRequest,
    408: Unavailable,
    409: Conflict,
    410: ResultExpired,
    413: TooLarge,
    415: InvalidRequest,
    422: InvalidRequest,
    429: QueueFull,
    503: Unavailable,
    504: Unavailable,
}


def from_answer(
    status: int, body: Any, retry_after_s: float | None, headers: Mapping[str, str] | None = None
) -> TextRemovalClientError:
    """The error that an answer means. ``body`` is the decoded JSON, or None when it was none."""
    if not (isinstance(body, dict) and isinstance(body.get("error"), str) and isinstance(body.get("detail"), str)):
        return UnexpectedAnswer(
            f"HTTP {status} without the service's error body: is this its address, and is it up?", status, retry_after_s
        )
    kind = _BY_STATUS.get(status, ServiceError)
    request_id = str(body.get("request_id") or (headers or {}).get("x-request-id", ""))
    return kind(body["detail"], body["error"], status, request_id, retry_after_s)
