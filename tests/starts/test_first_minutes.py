"""The service as ``iopaint-serve serve`` starts it, from its first second to Ctrl-C, with one start for all of it: a
client that comes too early, a task's trace as a collector receives it, and the lines of log beside it."""

import gzip
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import iopaint_client as sdk
import numpy as np
import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.pictures import b64, encoded, photo, wire, with_text
from tests.support.service import ROOT, Service, free_port

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
    command = [ROOT / "scripts/iopaint-serve", "serve", f"--port={port}", "--host=127.0.0.1", "--model=cv2"]
    environment = {
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.tracing:exporter",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "1.0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "LOG_FORMAT": "json",
        "TASK_ARCHIVE_URL": str(folder / "archive"),
    }
    log = folder / "service.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command], env=os.environ | environment, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    made = Service(f"http://127.0.0.1:{port}", process, log)
    yield made
    if process.poll() is None:
        made.kill_node()


def test_a_client_that_comes_too_early_is_answered_in_the_end(service: Service) -> None:
    """First nobody answers, then Serve's proxy with a plain 404, then the application with 503."""
    box = sdk.Rect(_REGION.x, _REGION.y, _REGION.width, _REGION.height)
    with sdk.Client(service.url, retries=sdk.Retries(attempts=1000, patience_s=120, longest_s=0.5)) as client:
        out = client.remove_text(_PIXELS, [box]).to_numpy()
        assert (out != _PIXELS).any()
        assert np.array_equal(out[: int(_REGION.y)], _PIXELS[: int(_REGION.y)])
        assert client.submit(_PIXELS, [box]).result().model == "cv2"


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
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(60) == 0
    assert "Ready. API: " in service.log.read_text()
