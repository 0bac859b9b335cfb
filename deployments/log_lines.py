"""The service's own lines of log: what happened, where, and for which request or task.

Serve's text form leaves out the ``extra`` of a record, which is where the reason and the task's id are, and the tracker
is no deployment, so that Serve sets nothing up for it. Each process of ours calls ``set_up`` once.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from deployments.config import LogConfig

_NOT_EXTRA = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message", "asctime", "taskName",
    # Serve's own switches, and what Ray knows of the process: ``component`` says it shorter.
    "log_to_stderr", "serve_access_log", "skip_context_filter", "application", "deployment", "replica",
    "component_name", "_ray_timestamp_ns", "job_id", "worker_id", "node_id", "actor_id", "actor_name", "task_name",
    "task_func_name",
}  # fmt: skip


class LineFormatter(logging.Formatter):
    """One line for a record, as a JSON object or to be read; ``extra`` and Serve's request id are part of it."""

    def __init__(self, component: str, *, as_json: bool) -> None:
        super().__init__()
        self._component = component
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _NOT_EXTRA}
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._as_json:
            line: dict[str, Any] = {
                "time": at, "level": record.levelname, "component": self._component, "message": record.getMessage(),
            }  # fmt: skip
            return json.dumps(line | extra | ({"exception": trace} if trace else {}), default=str, ensure_ascii=False)
        told = "".join(f" {key}={value}" for key, value in extra.items())
        return f"{at} {record.levelname} {self._component}: {record.getMessage()}{told}" + (
            f"\n{trace}" if trace else ""
        )


def set_up(component: str, config: LogConfig) -> None:
    """For this process. What goes to Serve's files stays as Serve writes it, which is JSON as well."""
    logger = logging.getLogger("ray.serve")
    logger.setLevel(config.level)
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.setFormatter(LineFormatter(component, as_json=config.as_json))
