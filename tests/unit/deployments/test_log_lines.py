"""Lines say what, where and for whom, in both forms."""

import json
import logging
from collections.abc import Iterator

import pytest

from deployments.config import LogConfig
from deployments.log_lines import LineFormatter, set_up


def record(message: str = "task ended", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("ray.serve", logging.WARNING, "file.py", 1, message, (), None)
    vars(made).update(extra)
    return made


def test_an_object_with_all_that_is_known() -> None:
    line = LineFormatter("TaskTracker", as_json=True).format(
        record(task_id="t-1", request_id="r-1", why=ValueError("no\nluck"), log_to_stderr=True)
    )
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "WARNING", "component": "TaskTracker", "message": "task ended", "task_id": "t-1", "request_id": "r-1",
        "why": "no\nluck",
    }  # fmt: skip


def test_a_line_to_read_has_the_reason_too() -> None:
    line = LineFormatter("Inpainter x", as_json=False).format(record("download failed", why="refused"))
    assert line.endswith(" WARNING Inpainter x: download failed why=refused")


def test_a_traceback_stays_in_its_object() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        made = record("unexpected error", exc_info=(type(error), error, error.__traceback__))
    line = LineFormatter("Ingress x", as_json=True).format(made)
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: broken")


@pytest.fixture
def handler() -> Iterator[logging.Handler]:
    logger = logging.getLogger("ray.serve")
    level, made = logger.level, logging.StreamHandler()
    logger.addHandler(made)
    yield made
    logger.removeHandler(made)
    logger.setLevel(level)


def test_a_process_is_set_up(handler: logging.Handler) -> None:
    set_up("TaskTracker", LogConfig("ERROR", as_json=True))
    assert logging.getLogger("ray.serve").level == logging.ERROR
    assert json.loads(handler.format(record()))["component"] == "TaskTracker"
