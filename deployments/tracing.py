"""Traces through OpenTelemetry: Serve makes the spans of proxy, ingress and replica, and this the one of the tracker.

Off unless the operator names ``deployments.tracing:exporter`` in RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH. A task carries
its ``traceparent`` (W3C) with it: the work on it belongs to the call that submitted it, however long it waited.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()


def exporter() -> list[SpanProcessor]:
    """For Serve: OTLP over HTTP. Where to, and under which name, say OpenTelemetry's own OTEL_* variables."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return [BatchSpanProcessor(OTLPSpanExporter())]


def traceparent() -> str:
    """Of the span at work here; empty without one."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent", "")


class TaskSpans:
    """Spans of tasks, in replicas (which Serve traces) and in the tracker, which turns itself on with a traced task.

    Serve hands contexts on between its own processes only, so a task's goes with its order.
    """

    def __init__(self) -> None:
        self._provider: TracerProvider | None = None

    @contextmanager
    def span(self, name: str, parent: str, **attributes: str | int) -> Iterator[None]:
        """A child of ``parent`` while the block runs. Without one: nothing."""
        if not parent:
            yield
            return
        above = _W3C.extract({"traceparent": parent})
        with self._provided().get_tracer(__name__).start_as_current_span(name, above, attributes=attributes):
            yield

    def _provided(self) -> TracerProvider:
        serves = trace.get_tracer_provider()
        if isinstance(serves, TracerProvider):
            return serves
        if self._provider is None:
            self._provider = TracerProvider()
            for processor in exporter():
                self._provider.add_span_processor(processor)
        return self._provider
