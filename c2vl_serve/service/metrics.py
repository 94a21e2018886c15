"""Metrics: what Prometheus is told; one registry an application, so that two do not mix.

Counters are pushed by whoever knows; queues, pose workers and readiness are looked at when the
metrics are asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from c2vl_serve.service.pose_pool import PosePool
from c2vl_serve.service.problems import CLIENT_GONE
from c2vl_serve.service.state import ServiceState

# Seconds. From a probe to a video of two minutes.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, *_REQUEST_BUCKETS)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)

# Why a request was not answered as asked; a 404 or 405 is nobody's refusal.
REASONS = {
    400: "unreadable",
    401: "key",
    408: "slow",
    413: "too_large",
    415: "type",
    422: "unusable",
    429: "limit",
    CLIENT_GONE: "gone",
    500: "fault",
    503: "busy",
}

router = APIRouter()


@router.get(
    "/metrics",
    tags=["operations"],
    summary="Prometheus text",
    response_class=PlainTextResponse,
    responses={200: {"content": {"application/openmetrics-text": {}}}},
)
async def metrics(request: Request) -> Response:
    """Everything that is counted, in Prometheus' text form or in OpenMetrics if asked for."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    text = encode(request.app.state.metrics.registry)
    return Response(text, headers={"content-type": content_type})


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._service = _ServiceCollector()
        self.registry.register(self._service)
        self._requests = _children(
            Counter(
                "c2vl_requests",
                "Requests answered.",
                ["method", "route", "status"],
                registry=self.registry,
            )
        )
        self._rejects = _children(
            Counter(
                "c2vl_rejects",
                "Requests not answered as asked, by reason.",
                ["reason"],
                registry=self.registry,
            )
        )
        for reason in (*REASONS.values(), "not_ready"):
            self._rejects(reason)  # a counter that is there from the start can be watched
        self._in_flight = _children(
            Gauge(
                "c2vl_requests_in_flight",
                "Requests, or open WebSockets, being worked on.",
                ["protocol"],
                registry=self.registry,
            )
        )
        self._seconds = _children(
            Histogram(
                "c2vl_request_seconds",
                "From a request's headers to the end of its answer.",
                ["route"],
                buckets=_REQUEST_BUCKETS,
                registry=self.registry,
            )
        )
        self._stages = _children(
            Histogram(
                "c2vl_stage_seconds",
                "One prediction's time in a stage; total is from the whole body to the answer.",
                ["stage"],
                buckets=_STAGE_BUCKETS,
                registry=self.registry,
            )
        )
        self._batches = Histogram(
            "c2vl_batch_windows",
            "Windows in one call of the network.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )

    def watch(self, service: ServiceState, poses: PosePool) -> None:
        """Look at these when asked."""
        self._service.service, self._service.poses = service, poses

    def in_flight(self, protocol: str) -> AbstractContextManager[None]:
        """While a request is worked on."""
        return self._in_flight(protocol).track_inprogress()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request came to its end, by a route's template."""
        self._requests(method, route, status).inc()
        self._seconds(route).observe(seconds)
        reason = REASONS.get(status)
        if reason is not None:
            refused_early = reason == "busy" and not self._service.is_ready
            self._rejects("not_ready" if refused_early else reason).inc()

    def predicted(self, timing_ms: Mapping[str, float]) -> None:
        """One prediction's milliseconds in each stage; stages that it had no use for are 0."""
        for stage, ms in timing_ms.items():
            if ms > 0:
                self._stages(stage).observe(ms / 1000)

    def ran_batch(self, num_windows: int) -> None:
        """The network was called once."""
        self._batches.observe(num_windows)


def _children(metric: Any) -> Callable[..., Any]:
    """A metric by its labels' values; looking one up otherwise costs as much as counting."""
    return lru_cache(maxsize=None)(metric.labels)


class _ServiceCollector(Collector):
    """Looks at queues, pose workers, bundle and readiness."""

    service: ServiceState | None = None
    poses: PosePool | None = None

    @property
    def is_ready(self) -> bool:
        return self.service is not None and self.service.predictor is not None

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("c2vl_ready", "1 while predictions are made.", self.is_ready)
        if self.service is not None:
            yield from _queues(self.service)
            yield from _bundle(self.service)
        if self.poses is not None:
            yield from _pose_workers(self.poses)


def _queues(service: ServiceState) -> Iterator[Metric]:
    wait = GaugeMetricFamily(
        "c2vl_queue_wait_seconds",
        "Estimated wait of work that came now.",
        labels=["lane"],
    )
    depth = GaugeMetricFamily(
        "c2vl_queue_depth",
        "What waits or runs: skeletons, videos, or windows of the network.",
        labels=["lane"],
    )
    for lane in (service.skeletons, service.videos):
        wait.add_metric([lane.name], lane.estimated_wait)
        depth.add_metric([lane.name], lane.depth)
    if service.batcher is not None:
        wait.add_metric(["network"], service.batcher.estimated_wait)
        depth.add_metric(["network"], service.batcher.depth)
        num_outside = service.turnstile.num_waiting
        wait.add_metric(["turnstile"], num_outside * service.batcher.pace)
        depth.add_metric(["turnstile"], num_outside)
    yield from (wait, depth)


def _bundle(service: ServiceState) -> Iterator[Metric]:
    if service.predictor is not None:
        recognizer = service.predictor.recognizer
        card = recognizer.bundle.card
        labels = {"name": card.name, "version": card.version, "runtime": recognizer.runtime.name}
        yield InfoMetricFamily("c2vl_bundle", "What is served.", labels)


def _pose_workers(poses: PosePool) -> Iterator[Metric]:
    workers = poses.workers()
    family = GaugeMetricFamily("c2vl_pose_workers", "Pose workers by state.", labels=["state"])
    family.add_metric(["alive"], workers.alive)
    family.add_metric(["busy"], workers.busy)
    yield family
    yield CounterMetricFamily(
        "c2vl_pose_worker_restarts", "Pose workers replaced.", workers.replaced
    )
