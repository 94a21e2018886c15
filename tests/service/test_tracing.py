"""Spans of requests and stages, as OpenTelemetry's own exporter in memory gets them."""

import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.tracing import over_otlp

from .test_predict import SKELETON

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_request_and_its_stages_are_spans_of_the_caller_s_trace(
    recognizer: ActionRecognizer,
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_app(ServiceSettings(pose_workers=0), recognizer, tracing=provider)
    with TestClient(app) as client:
        client.get("/health/live")
        client.get("/secret")
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Request-ID": "mine"}
        client.post("/predict?layout=kinect20", json=SKELETON, headers=headers)
        spans = exporter.get_finished_spans()  # closing the application ends the exporter
    assert [span.name for span in spans] == [
        "GET none", "decode", "preprocess", "inference", "POST /predict",
    ]  # fmt: skip
    request = spans[-1]
    assert dict(request.attributes or {}) == {
        "c2vl.request_id": "mine",
        "http.response.status_code": 200,
        "http.request.method": "POST",
        "http.route": "/predict",
    }
    assert request.context is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    for before, stage in zip(spans[1:4], spans[2:4], strict=False):
        assert before.end_time == stage.start_time
    for stage in spans[1:4]:
        assert stage.parent is not None
        assert stage.parent.span_id == request.context.span_id
        assert request.start_time < stage.start_time < stage.end_time < request.end_time


def test_the_name_of_the_service_can_be_set_as_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert over_otlp().resource.attributes["service.name"] == "c2vl-serve"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gym")
    assert over_otlp().resource.attributes["service.name"] == "gym"


def test_a_missing_extra_names_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(RuntimeUnavailable, match=r"pip install 'c2vl-serve\[otel\]'"):
        create_app(ServiceSettings(otel=True, pose_workers=0))
