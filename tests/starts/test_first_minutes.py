"""The service as ``iopaint-serve serve`` starts it, from its first second to Ctrl-C, with one start for all of it: a
client that comes too early, a task's trace as a collector receives it and the lines of log beside it, and weights that
are missing and arrive later. And settings that are wrong."""

import gzip
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import iopaint_client as sdk
import numpy as np
import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from models.weights import sha256
from tests.support.pictures import b64, decoded, encoded, photo, wire, with_text
from tests.support.prometheus import watching
from tests.support.service import ROOT, Service, assert_ends_in_order, free_port, neutral
from tests.support.weights import Columns, save_lama

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_CALLER = "b7ad6b7169203331"
_PIXELS, _REGION = with_text(photo(640, 480))
_BODY: dict[str, Any] = {"image": b64(encoded(_PIXELS)), "regions": [wire(_REGION)]}


class Collector(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: dict[bytes, Span] = {}

    def path_to_root(self, span: Span) -> list[str]:
        """Names from the span up, and last the id of the parent that nobody here made."""
        names = [span.name]
        while span.parent_span_id in self.spans:
            span = self.spans[span.parent_span_id]
            names.append(span.name)
        return [*names, span.parent_span_id.hex()]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans |= {span.span_id: span for span in scope.spans if span.trace_id.hex() == _TRACE}
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def check_lines(service: Service, request_id: str) -> None:
    """Whatever process wrote it: an object a line, and request and task are told by their ids."""
    end = time.monotonic() + 30
    while True:
        lines: list[dict[str, Any]] = [
            json.loads(line) for line in service.log.read_text().rpartition("\n")[0].split("\n")
        ]
        told = [line for line in lines if line.get("task_id") == "traced" and line["message"] == "task ended"]
        called = [line for line in lines if line.get("request_id") == request_id]
        if told and called:
            break
        assert time.monotonic() < end, lines
        time.sleep(0.5)
    assert (told[0]["component"], told[0]["status"]) == ("TaskTracker", "completed")
    assert called[0]["component"].startswith("Ingress ")
    assert all({"time", "level", "component", "message"} <= line.keys() for line in lines)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def service(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Not waited for. Its standard output is its log."""
    folder, port = tmp_path_factory.mktemp("first"), free_port()
    command = [ROOT / "scripts/iopaint-serve", "serve", f"--port={port}", "--host=127.0.0.1", "--model=lama"]
    environment = {
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.tracing:exporter",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "1.0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "LOG_FORMAT": "json",
        "TASK_ARCHIVE_URL": str(folder / "archive"),
        "MODEL_DIR": str(folder / "weights"),
        "LAMA_MODEL_URL": "http://127.0.0.1:9/big-lama.pt",
    }
    log = folder / "service.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command], env=neutral() | environment, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    made = Service(f"http://127.0.0.1:{port}", process, log)
    yield made
    if process.poll() is None:
        made.kill_node()


@pytest.mark.parametrize(
    ("name", "value"), [("IOPAINT_MODEL", "lamma"), ("IOPAINT_PORT", "http"), ("IOPAINT_DEVICE", "gpu")]
)
def test_a_wrong_setting_stops_the_start_with_one_line(name: str, value: str) -> None:
    run = subprocess.run(
        [str(ROOT / "scripts/serve")],
        env=neutral() | {name: value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert name in run.stderr
    assert value in run.stderr


def test_a_client_that_comes_too_early_is_answered_in_the_end(service: Service) -> None:
    """First nobody answers, then Serve's proxy with a plain 404, then the application with 503."""
    box = sdk.Rect(_REGION.x, _REGION.y, _REGION.width, _REGION.height)
    with sdk.Client(service.url, retries=sdk.Retries(attempts=1000, patience_s=120, longest_s=0.5)) as client:
        out = client.remove_text(_PIXELS, [box]).to_numpy()
        assert (out != _PIXELS).any()
        assert np.array_equal(out[: int(_REGION.y)], _PIXELS[: int(_REGION.y)])
        assert client.submit(_PIXELS, [box]).result().model == "classic"


def assert_auto_takes_the_network_where_it_wins(service: Service) -> None:
    """The network knows columns of ramps perfectly, and everything else badly."""
    rng = np.random.default_rng(1)
    ends = rng.uniform(0, 255, (2, 1, 640, 3))
    ramps = np.rint(ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 480)[:, None, None]).astype(np.uint8)
    for clean, winner in ((ramps, {"lama"}), (photo(640, 480), {"local-surface", "wide-surface", "biharmonic"})):
        shown, region = with_text(clean)
        body = {"image": b64(encoded(shown)), "regions": [wire(region)], "model": "auto"}
        told = requests.post(f"{service.url}/api/v1/inpaint-regions-json", json=body, timeout=60).json()
        (report,) = told["processing_stats"]["regions"]
        assert report["model"] in winner, report
        picture = requests.post(f"{service.url}/api/v1/inpaint-regions", json=body, timeout=60)
        assert picture.headers["x-model"] == "auto"
        if winner == {"lama"}:
            assert report["trial_error"] < 1.5
            assert np.abs(decoded(picture.content).astype(int) - clean).max() <= 8


def weights_arrive(service: Service, folder: Path) -> None:
    save_lama(folder, Columns())
    end = time.monotonic() + 250  # a service that is two minutes old tries every two
    # What remains is that these columns are no LaMa, so that they run as TorchScript.
    while "is not in use" in str(service.health()["degraded"]):
        assert time.monotonic() < end, "the weights are there, and not in use"
        time.sleep(0.5)
    response = requests.post(f"{service.url}/api/v1/inpaint-regions", json=_BODY, timeout=60)
    assert response.headers["x-model"] == "lama"
    model = requests.get(f"{service.url}/api/v1/model", timeout=10).json()
    assert (model["name"], model["status"]) == ("lama", "ready")
    assert model["parameters"]["weights_sha256"] == sha256(folder / "big-lama.pt")


@pytest.mark.timeout(600)
def test_without_weights_it_says_so_and_takes_them_when_they_arrive(service: Service) -> None:
    """Their coming needs no restart."""
    service.wait_healthy()
    weights = service.log.parent / "weights"
    assert "big-lama.pt" in str(service.health()["degraded"])
    response = requests.post(f"{service.url}/api/v1/inpaint-regions", json=_BODY, timeout=60)
    assert response.headers["x-model"] == "classic"
    named = requests.post(f"{service.url}/api/v1/inpaint-regions", json=_BODY | {"model": "lama"}, timeout=60)
    assert (named.status_code, named.json()["error"]) == (503, "model_unavailable")
    assert "retry-after" in named.headers
    auto = requests.post(f"{service.url}/api/v1/inpaint-regions", json=_BODY | {"model": "auto"}, timeout=60)
    assert (auto.status_code, auto.headers["x-model"]) == (200, "auto")
    assert "auto chose among the weightless fills only" in auto.headers["x-notes"]
    assert np.array_equal(decoded(auto.content), decoded(response.content))
    with watching(service.url.removeprefix("http://"), hold="1s") as prometheus:
        prometheus.wait(lambda p: p.alerts().get("FallbackInUse") == "firing", "alert")
        weights_arrive(service, weights)
        prometheus.wait(lambda p: "FallbackInUse" not in p.alerts(), "end of the alert")
    assert_auto_takes_the_network_where_it_wins(service)


def test_a_task_is_one_trace_from_the_call_to_the_replica(service: Service, collector: Collector) -> None:
    service.wait_healthy()
    parent = {"traceparent": f"00-{_TRACE}-{_CALLER}-01"}
    answer = requests.post(
        f"{service.url}/api/v1/inpaint-regions-async", json=_BODY | {"task_id": "traced"}, headers=parent, timeout=60
    )
    assert answer.status_code == 202
    end = time.monotonic() + 30
    path: list[str] = []
    while time.monotonic() < end and path[-1:] != [_CALLER]:
        time.sleep(0.5)
        found = [collector.path_to_root(span) for span in list(collector.spans.values())]
        path = next((names for names in found if names[0] == "work on task"), [])
    assert path[:2] == ["work on task", "task attempt"], found
    assert "POST /api/v1/inpaint-regions-async" in path
    assert path[-1] == _CALLER, f"the caller's own trace is continued: {found}"
    check_lines(service, answer.headers["X-Request-ID"])


def test_ctrl_c_ends_it_in_order(service: Service) -> None:
    """The last: the others need it."""
    service.wait_healthy()
    assert_ends_in_order(service, signal.SIGINT)
    assert "Ready. API: " in service.log.read_text()
