"""Health from heartbeats: a replica that left is not one that died."""

import time
from typing import Any

import pytest

from deployments.fleet import Fleet
from deployments.protocol import EngineReport, ReplicaReport
from deployments.tasks import TaskCounts

LEASE_S = 30.0
REPORT = ReplicaReport("r", EngineReport("cv2", "cpu", "cv2", "ready"))
COUNTS = TaskCounts(0, 0, 0, 0, 0, 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def test_scaled_to_zero_is_healthy(clock: Any) -> None:
    fleet = Fleet(LEASE_S)
    assert fleet.is_unknown
    fleet.heard(REPORT)
    fleet.gone("r")
    clock.now += 10 * LEASE_S
    assert (fleet.size(), fleet.state(COUNTS).status, fleet.is_unknown) == (0, "healthy", False)


def test_all_dead_is_not(clock: Any) -> None:
    fleet = Fleet(LEASE_S)
    fleet.heard(REPORT)
    clock.now += LEASE_S + 1
    state = fleet.state(COUNTS)
    assert (fleet.size(), state.status, state.engine) == (0, "starting", "")
    assert "No model replica is left" in state.message
    assert fleet.is_unknown, "one has to be asked for"
    fleet.heard(REPORT)
    assert (fleet.state(COUNTS).status, fleet.is_unknown) == ("healthy", False)


def test_one_of_two_dead_is(clock: Any) -> None:
    fleet = Fleet(LEASE_S)
    fleet.heard(REPORT)
    clock.now += LEASE_S - 1
    fleet.heard(ReplicaReport("second", REPORT.engine))
    clock.now += 2
    assert (fleet.size(), fleet.state(COUNTS).status) == (1, "healthy")
