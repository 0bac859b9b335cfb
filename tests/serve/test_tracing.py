"""One trace through proxy, ingress, tracker and replica, as a collector receives it; and the lines of log beside it."""

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.serve.test_service import BODY
from tests.support.service import Service, running

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_CALLER = "b7ad6b7169203331"


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


def test_a_task_is_one_trace_from_the_call_to_the_replica(tmp_path: Path) -> None:
    collector = Collector()
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    environment = {
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "deployments.tracing:exporter",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": "1.0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "LOG_FORMAT": "json",
    }
    with running(tmp_path, **environment) as service:
        parent = {"traceparent": f"00-{_TRACE}-{_CALLER}-01"}
        answer = requests.post(
            f"{service.url}/api/v1/inpaint-regions-async", json=BODY | {"task_id": "traced"}, headers=parent, timeout=60
        )
        assert answer.status_code == 202
        end = time.monotonic() + 30
        path: list[str] = []
        while time.monotonic() < end and path[-1:] != [_CALLER]:
            time.sleep(0.5)
            found = [collector.path_to_root(span) for span in list(collector.spans.values())]
            path = next((names for names in found if names[0] == "work on task"), [])
        check_lines(service, answer.headers["X-Request-ID"])
    collector.shutdown()
    collector.server_close()
    assert path[:2] == ["work on task", "task attempt"], found
    assert "POST /api/v1/inpaint-regions-async" in path
    assert path[-1] == _CALLER, f"the caller's own trace is continued: {found}"
