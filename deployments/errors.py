"""Errors of work and state; see ``models.errors`` for the family's rules."""

from models.errors import TextRemovalError


class TaskNotFound(TextRemovalError):
    """No task has this id, or it was forgotten when its time was over."""

    code = "task_not_found"


class TaskConflict(TextRemovalError):
    """A ``task_id`` that is in use for other content."""

    code = "task_conflict"


class TaskFinished(TextRemovalError):
    """Cancelling what has already completed or failed."""

    code = "task_finished"


class ResultNotReady(TextRemovalError):
    """The task has no result (yet): it is not finished, or it failed or was cancelled."""

    code = "result_not_ready"


class ResultExpired(TextRemovalError):
    """The result was deleted when its retention ended."""

    code = "result_expired"


class QueueFull(TextRemovalError):
    """As many tasks wait as may; ``details["retry_after_s"]`` says when to come again."""

    code = "queue_full"


class ServiceUnavailable(TextRemovalError):
    """No replica is ready or free; ``details["retry_after_s"]`` says when to come again."""

    code = "service_unavailable"


class ArchiveUnavailable(ServiceUnavailable):
    """The store of ``TASK_ARCHIVE_URL`` fails. What was being written may be there all the same."""

    code = "archive_unavailable"


class DeadlineExceeded(TextRemovalError):
    """A synchronous call took longer than ``REQUEST_TIMEOUT``; its work was stopped."""

    code = "request_timeout"


class TaskRunning(TextRemovalError):
    """Deleting what has not ended."""

    code = "task_running"


class NothingToDeliver(TextRemovalError):
    """The task has no callback, or has not ended."""

    code = "nothing_to_deliver"


class BatchNotFound(TextRemovalError):
    """No batch has this id, or it was forgotten when its time was over."""

    code = "batch_not_found"


class BatchNotReady(TextRemovalError):
    """Its result is asked for before all of its tasks have ended."""

    code = "batch_not_ready"
