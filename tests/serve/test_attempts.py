"""What a task survives, and what it does not: its replica killed under it, three times."""

import os
import signal
import time
import uuid
from datetime import datetime
from typing import Any

import pytest
import requests

from drills.kills import PROCESSES
from tests.support.pictures import b64, encoded, photo
from tests.support.service import Service

_IMAGE = encoded(photo(2000, 500), "JPEG", quality=20)
_BODY: dict[str, Any] = {"image": b64(_IMAGE), "regions": [{"x": 20, "y": 20, "width": 40, "height": 12}]}
_LONG = _BODY | {"regions": [{"x": 20 + 240 * n, "y": 20, "width": 10, "height": 10} for n in range(8)]}


def _submit(service: Service, body: dict[str, Any]) -> str:
    task_id = str(uuid.uuid4())
    answer = requests.post(
        f"{service.url}/api/v1/inpaint-regions-async", json=body | {"task_id": task_id, "model": "fake"}, timeout=30
    )
    assert answer.status_code == 202, answer.text
    return task_id


def _status(service: Service, task_id: str) -> dict[str, Any]:
    status: dict[str, Any] = requests.get(f"{service.url}/api/v1/task-status/{task_id}", timeout=30).json()
    return status


def _wait(service: Service, task_id: str, *wanted: str, patience_s: float = 90) -> dict[str, Any]:
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        status = _status(service, task_id)
        if status["status"] in wanted or status["stage"] in wanted:
            return status
        time.sleep(0.1)
    raise AssertionError(f"still {status} after {patience_s} s")


def _kill_replicas(service: Service) -> None:
    for pid in service.named(PROCESSES["replica"]):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(900)
def test_a_poison_task_ends_in_error_and_takes_nothing_with_it(service: Service) -> None:
    """Its replica dies each time it is at work: given up after three; what waited beside it is done."""
    poison = _submit(service, _LONG)
    for attempt in (1, 2, 3):
        _wait_for_attempt(service, poison, attempt)
        _kill_replicas(service)
    neighbour = _submit(service, _BODY)
    status = _wait(service, poison, "error")
    assert "died 3 times" in status["error_message"]
    assert _wait(service, neighbour, "completed")["overall_progress"] == 100


def _wait_for_attempt(service: Service, task_id: str, number: int) -> None:
    """Until that attempt is claimed and a replica is at work on it: killing sooner would count for nothing."""
    claim = service.log.parent / "archive" / "tasks" / task_id / "attempts" / f"{number}.json"
    end = time.monotonic() + 180  # a replica starts in between, on one core in more than a minute
    while not claim.exists():
        assert time.monotonic() < end, f"attempt {number} was never begun: {_status(service, task_id)}"
        time.sleep(0.05)
    began = claim.stat().st_mtime
    while True:
        status = _status(service, task_id)
        if status["status"] == "processing" and _epoch_s(status["updated_at"]) > began:
            return
        assert time.monotonic() < end, f"attempt {number} does not work: {status}"
        time.sleep(0.05)


def _epoch_s(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
