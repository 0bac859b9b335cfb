"""The metrics endpoint of the running service, scraped as Prometheus would."""

import time
import uuid
from collections.abc import Iterator

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from deployments.metrics import METRICS
from tests.serve.test_service import BODY
from tests.support.service import Service

Series = dict[str, list[tuple[dict[str, str], float]]]


def scrape(service: Service) -> Series:
    response = requests.get(f"{service.url}/metrics", timeout=10)
    assert response.status_code == 200
    found: Series = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def total(series: Series, name: str, **labels: str) -> float:
    return sum(value for has, value in series.get(name, []) if labels.items() <= has.items())


def growth(before: Series, now: Series, name: str, **labels: str) -> float:
    """Process by process, since Ray forgets the figures of one that has died."""
    first = {tuple(sorted(has.items())): value for has, value in before.get(name, [])}
    return sum(
        value - first.get(tuple(sorted(has.items())), 0.0)
        for has, value in now.get(name, [])
        if labels.items() <= has.items()
    )


def until(service: Service, before: Series, name: str, at_least: float, **labels: str) -> Iterator[Series]:
    """Figures travel through Ray's agent every few seconds."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        series = scrape(service)
        if growth(before, series, name, **labels) >= at_least:
            yield series
            return
        time.sleep(0.5)
    pytest.fail(f"{name} {labels} did not grow by {at_least}: {series.get(name)}")


def test_calls_and_tasks_are_counted(service: Service) -> None:
    end = time.monotonic() + 60
    while total(before := scrape(service), "ray_iopaint_replicas") != 1:  # another test may have killed some
        assert time.monotonic() < end, before.get("ray_iopaint_replicas")
        time.sleep(0.5)
    for _ in range(2):
        assert requests.post(f"{service.url}/api/v1/inpaint-regions", json=BODY, timeout=60).status_code == 200
    task_id = uuid.uuid4().hex
    answer = requests.post(f"{service.url}/api/v1/inpaint-regions-async", json=BODY | {"task_id": task_id}, timeout=60)
    assert answer.status_code == 202
    (_,) = until(service, before, "ray_iopaint_tasks_ended_total", 1, status="completed")
    (_,) = until(service, before, "ray_iopaint_jobs_total", 2, kind="interactive", outcome="ok")
    (series,) = until(service, before, "ray_iopaint_windows_total", 3, model="cv2")
    assert total(series, "ray_iopaint_pixels_total", model="cv2") > 0
    assert total(series, "ray_iopaint_engine_seconds_total", model="cv2") > 0
    assert total(series, "ray_iopaint_stage_seconds_count", stage="inpaint") >= 3
    assert total(series, "ray_iopaint_model_ready", model="cv2") >= 1
    assert total(series, "ray_iopaint_task_seconds_count", status="completed") >= 1
    # Few labels: nothing that a client chooses is one. Ray's own begin with a capital, OpenTelemetry's with its name.
    ours = {
        label for name in series if name.startswith("ray_iopaint_") for labels, _ in series[name] for label in labels
    }
    ours = {label for label in ours if label[0].islower() and not label.startswith("otel_")}
    assert ours <= {label for metric in METRICS.values() for label in metric.labels} | {"le"}

    stats = requests.get(f"{service.url}/api/v1/tasks/{task_id}/stats", timeout=10).json()
    assert stats["status"] == "completed"
    assert stats["processing_stats"]["stage_times"].keys() >= {"decode", "mask", "inpaint", "encode"}
    spent = sum(stats["processing_stats"]["stage_times"].values())
    assert 0 < spent <= stats["working_time"] + 0.01
    assert stats["units_done"] == stats["units_total"] > 0


def test_health_tells_what_runs_where(service: Service) -> None:
    diagnostics = service.health()["diagnostics"]
    assert isinstance(diagnostics, dict)
    assert diagnostics.keys() == {"replicas", "model", "tasks", "tracker", "archive"}
    (replica,) = diagnostics["replicas"]
    assert replica["versions"]["ray"] == "2.60.0"
    assert replica["memory"]["resident_bytes"] > 50_000_000
    assert diagnostics["archive"]["last_write_s_ago"] < 15
    assert diagnostics["model"]["in_use"] == "cv2"


def test_calls_by_route_are_serves_own_figures(service: Service) -> None:
    requests.get(f"{service.url}/api/v1/task-status/no-such-task", timeout=10)
    (series,) = until(service, {}, "ray_serve_num_http_requests_total", 1, route="/api/v1/task-status/{task_id}")
    assert total(series, "ray_serve_http_request_latency_ms_count") > 0
