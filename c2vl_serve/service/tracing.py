"""Traces with OpenTelemetry, an extra: a span for each request, and one for each of its stages.

Where spans go, how many are kept, and what the service is called there is set by OpenTelemetry's
own variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_TRACES_SAMPLER``, ``OTEL_SERVICE_NAME``).
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.service.access import QUIET, method_of, route_of
from c2vl_serve.service.request_ids import REQUEST_ID

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SERVICE = "c2vl-serve"
_STAGES = ("decode", "pose", "preprocess", "inference")  # in the order in which they come
_NANOSECONDS = 1_000_000  # in a millisecond


def over_otlp() -> "TracerProvider":
    """Sends spans over OTLP/HTTP, to where ``OTEL_*`` says.

    Raises:
        RuntimeUnavailable: when the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise RuntimeUnavailable(
            f"C2VL_OTEL is set but {error.name} is not installed; "
            "run: pip install 'c2vl-serve[otel]'"
        ) from error
    own = Resource.create({"service.name": SERVICE})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class RequestSpans:
    """Pure ASGI middleware: one span a request, within its caller's trace where it names one.

    It tells the route's template and never the path. OpenTelemetry's own middleware would tell
    the whole address, and with it whatever stands behind the question mark.
    """

    def __init__(self, app: ASGIApp, *, provider: "TracerProvider") -> None:
        self._app = app
        self._tracer = provider.get_tracer(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within its span; probes get none."""
        if scope["type"] == "lifespan" or scope["path"] in QUIET:
            await self._app(scope, receive, send)
            return
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode

        async def watched(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                span.set_attribute("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.set_status(Status(StatusCode.ERROR))
            await send(message)

        caller = extract(dict(Headers(scope=scope).items()))
        with self._tracer.start_as_current_span(
            method_of(scope), context=caller, kind=SpanKind.SERVER
        ) as span:
            span.set_attribute("c2vl.request_id", REQUEST_ID.get() or "")
            try:
                await self._app(scope, receive, watched)
            finally:
                span.update_name(f"{method_of(scope)} {route_of(scope)}")
                span.set_attribute("http.request.method", method_of(scope))
                span.set_attribute("http.route", route_of(scope))


def trace_stages(provider: "TracerProvider", timing_ms: Mapping[str, float]) -> None:
    """Spans for the stages of the prediction that has just been made.

    Stages run in threads and tell only how long they took: they are laid end to end, the last
    one ending now, and what the request's span has before them is the upload and the wait.
    """
    tracer = provider.get_tracer(__name__)
    durations = [(stage, round(timing_ms.get(stage, 0) * _NANOSECONDS)) for stage in _STAGES]
    begin = time.time_ns() - sum(duration for _, duration in durations)
    for stage, duration in durations:
        if duration:
            tracer.start_span(stage, start_time=begin).end(begin + duration)
        begin += duration
