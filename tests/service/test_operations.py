"""What operators see: metrics, request ids, log lines, and limits per key."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI, Request
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient, WebSocketDenialResponse

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service import problems
from c2vl_serve.service.app import create_app
from c2vl_serve.service.batching import Batcher
from c2vl_serve.service.keys import ApiKeyGate
from c2vl_serve.service.logs import JsonFormatter, TextFormatter
from c2vl_serve.service.rates import RateLimit
from c2vl_serve.service.request_ids import REQUEST_ID, chosen_id
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.turnstile import Turnstile

from .test_predict import SKELETON


@pytest.fixture
def fresh(recognizer: ActionRecognizer) -> Iterator[TestClient]:
    """A service that nobody asked anything yet."""
    app = create_app(ServiceSettings(pose_workers=0), recognizer)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """Each sample's value by its name and its labels' values in order of their names."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_requests_are_counted_by_template_and_status(fresh: TestClient) -> None:
    fresh.post("/predict", json=SKELETON)
    fresh.post("/predict", json={**SKELETON, "layout": "none"})
    for path in ("/some/secret", "/other/secret"):
        fresh.get(path)
    fresh.request("BREW", "/predict")
    got = samples(fresh)
    assert got["c2vl_requests_total", "POST", "/predict", "200"] == 1
    assert got["c2vl_requests_total", "POST", "/predict", "422"] == 1
    assert got["c2vl_requests_total", "GET", "none", "404"] == 2
    assert got["c2vl_requests_total", "OTHER", "/predict", "405"] == 1
    assert not any("secret" in label for key in got for label in key)
    assert got["c2vl_rejects_total", "unusable"] == 1
    assert got["c2vl_rejects_total", "limit"] == 0
    assert got["c2vl_request_seconds_count", "/predict"] == 3
    assert got["c2vl_requests_in_flight", "http"] == 1  # the one that asks


def test_stages_queues_bundle_and_readiness_are_told(fresh: TestClient) -> None:
    fresh.post("/predict", json=SKELETON)
    got = samples(fresh)
    for stage in ("decode", "preprocess", "inference", "total"):
        assert got["c2vl_stage_seconds_count", stage] == 1
    assert ("c2vl_stage_seconds_count", "pose") not in got
    # 24 frames at 30 fps are 12 at the network's rate: one window.
    assert got["c2vl_batch_windows_count",] == got["c2vl_batch_windows_sum",] == 1
    assert got["c2vl_ready",] == 1
    assert got["c2vl_bundle_info", "tiny", "onnxruntime/CPUExecutionProvider", "1.0.0"] == 1
    for lane in ("turnstile", "skeleton", "video", "network"):
        assert got["c2vl_queue_depth", lane] == got["c2vl_queue_wait_seconds", lane] == 0
    assert got["c2vl_pose_workers", "alive"] == got["c2vl_pose_worker_restarts_total",] == 0


def test_each_queue_is_told_by_its_own_name(
    fresh: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batcher, "depth", 7)
    monkeypatch.setattr(Batcher, "estimated_wait", 0.25)
    state = fresh.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(Turnstile, "num_waiting", 40)
    monkeypatch.setattr(state.skeletons, "_pending", 3)
    monkeypatch.setattr(state.videos, "_pending", 2)
    got = samples(fresh)
    expected = {"turnstile": 40, "skeleton": 3, "video": 2, "network": 7}
    assert {lane: got["c2vl_queue_depth", lane] for lane in expected} == expected
    assert got["c2vl_queue_wait_seconds", "turnstile"] == 40 * state.batcher.pace > 0
    assert got["c2vl_queue_wait_seconds", "network"] == 0.25
    assert got["c2vl_queue_wait_seconds", "video"] == state.videos.estimated_wait > 0


def test_a_websocket_is_counted_and_carries_its_id(
    fresh: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "c2vl_serve.service.access"):
        with fresh.websocket_connect("/stream", headers={"X-Request-ID": "mine-1"}) as stream:
            assert (b"x-request-id", b"mine-1") in stream.extra_headers
            assert samples(fresh)["c2vl_requests_in_flight", "websocket"] == 1
            stream.send_text("no JSON")
            assert stream.receive_json()["problem"]["request_id"] == "mine-1"
        elsewhere = {"Origin": "http://elsewhere", "X-Request-ID": "mine-2"}
        with pytest.raises(WebSocketDenialResponse) as refused:
            fresh.websocket_connect("/stream", headers=elsewhere).__enter__()
    assert refused.value.headers["x-request-id"] == "mine-2"
    got = samples(fresh)
    assert got["c2vl_requests_in_flight", "websocket"] == 0
    for status in ("101", "403"):
        assert got["c2vl_requests_total", "WEBSOCKET", "/stream", status] == 1
    assert got["c2vl_request_seconds_count", "/stream"] == 2
    lines = [line for line in caplog.records if line.name == "c2vl_serve.service.access"]
    assert [(line.method, line.route, line.status) for line in lines] == [  # type: ignore[attr-defined]
        ("WEBSOCKET", "/stream", 101),
        ("WEBSOCKET", "/stream", 403),
    ]


def test_two_services_do_not_mix(fresh: TestClient, client: TestClient) -> None:
    client.get("/bundle")
    assert ("c2vl_requests_total", "GET", "/bundle", "200") not in samples(fresh)


def test_not_ready_is_another_reason_than_busy(recognizer: ActionRecognizer) -> None:
    app = create_app(ServiceSettings(pose_workers=0), recognizer)
    with TestClient(app) as client:
        app.state.service.predictor = None
        assert client.get("/bundle").status_code == 503
        got = samples(client)
    assert got["c2vl_rejects_total", "not_ready"] == 1
    assert got["c2vl_rejects_total", "busy"] == got["c2vl_ready",] == 0


@pytest.mark.parametrize("given", ["abc-123", "01JD:Z+/=._"])
def test_a_request_id_is_taken_over_and_given_back(client: TestClient, given: str) -> None:
    for path, status in (("/bundle", 200), ("/nothing", 404)):
        answer = client.get(path, headers={"X-Request-ID": given})
        assert answer.status_code == status
        assert answer.headers["x-request-id"] == given
    assert answer.json()["request_id"] == given


@pytest.mark.parametrize("given", [None, "", "two words", "line\nend", 'quo"te', "x" * 129, "é"])
def test_an_id_that_could_do_harm_is_replaced(given: str | None) -> None:
    assert len(chosen_id(given)) == 32
    assert chosen_id(given) != chosen_id(given)


def test_a_fault_of_ours_carries_the_id_too(
    fresh: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyError("inner")

    monkeypatch.setattr("c2vl_serve.service.predictor.Predictor.decode", fail)
    answer = fresh.post("/predict", json=SKELETON, headers={"X-Request-ID": "mine"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine"
    assert samples(fresh)["c2vl_rejects_total", "fault"] == 1


def test_a_request_is_one_line_in_the_log_without_its_path_or_body(
    fresh: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "c2vl_serve.service.access"):
        fresh.get("/health/live")
        fresh.get("/hidden-in-a-path", headers={"X-API-Key": "hidden-key"})
        answer = fresh.post("/predict", json=SKELETON)
    lines = [line for line in caplog.records if line.name == "c2vl_serve.service.access"]
    first, second = lines
    assert (first.route, first.status) == ("none", 404)
    assert (second.method, second.route, second.status) == ("POST", "/predict", 200)
    assert second.bytes == len(answer.content)
    assert second.ms > 0
    assert "hidden" not in " ".join(map(TextFormatter().format, lines))


def record(message: str, **fields: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "c2vl_serve.x", "levelname": "INFO", "msg": message, "created": 0.25, **fields}
    )


def test_the_forms_of_a_log_line() -> None:
    token = REQUEST_ID.set("id-1")
    try:
        line = record("an event\nforged", status=200, why="two words")
        assert TextFormatter().format(line) == (
            "1970-01-01T00:00:00.250+00:00 INFO c2vl_serve.x an event\\nforged "
            'status=200 why="two words" request_id=id-1'
        )
        assert json.loads(JsonFormatter().format(line)) == {
            "time": "1970-01-01T00:00:00.250+00:00",
            "level": "INFO",
            "logger": "c2vl_serve.x",
            "message": "an event\nforged",
            "status": 200,
            "why": "two words",
            "request_id": "id-1",
        }
    finally:
        REQUEST_ID.reset(token)


class Clock:
    """Time that stands still until told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def limited_app(clock: Callable[[], float], *keys: str, **settings: Any) -> FastAPI:
    """Answers once its gate is open."""
    app = FastAPI()
    app.state.gate = asyncio.Event()

    @app.get("/work")
    async def work(request: Request, wait: bool = False) -> str:
        if wait:
            await app.state.gate.wait()
        return "done"

    @app.get("/health/live")
    async def live() -> str:
        return "live"

    problems.install(app)
    app.add_middleware(RateLimit, settings=ServiceSettings(**settings), clock=clock)
    app.add_middleware(ApiKeyGate, keys=keys)
    return app


async def get(app: FastAPI, path: str = "/work", key: str = "", **rest: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, client=(rest.pop("address", "10.0.0.1"), 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers={"X-API-Key": key}, **rest)


def test_a_rate_holds_for_each_key_alone() -> None:
    async def main() -> None:
        clock = Clock()
        app = limited_app(clock, "a", "b", key_rate=0.5, key_burst=2)
        answers = [await get(app, key="a") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [answer.headers["ratelimit"] for answer in answers] == [
            '"key";r=1;t=0',
            '"key";r=0;t=2',
            '"key";r=0;t=2',
        ]
        assert answers[2].headers["ratelimit-policy"] == '"key";q=2;w=4'
        assert answers[2].headers["retry-after"] == "2"
        assert "more often than 0.5 times a second" in answers[2].json()["detail"]
        assert (await get(app, key="b")).status_code == 200
        assert (await get(app, "/health/live")).status_code == 200
        clock.now += 2
        assert [(await get(app, key="a")).status_code for _ in range(2)] == [200, 429]

    asyncio.run(main())


def test_without_keys_it_holds_for_each_address() -> None:
    async def main() -> None:
        app = limited_app(Clock(), key_rate=1, key_burst=1)
        statuses = [
            (await get(app, address=address)).status_code
            for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2")
        ]
        assert statuses == [200, 429, 200]

    asyncio.run(main())


def test_requests_at_once_are_bounded_and_given_back() -> None:
    async def main() -> None:
        app = limited_app(Clock(), "a", "b", key_concurrent=2)
        slow = [asyncio.create_task(get(app, key="a", params={"wait": "1"})) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await get(app, key="a")
        assert refused.status_code == 429
        assert "2 of your requests are in progress; at most 2" in refused.json()["detail"]
        assert refused.headers["retry-after"] == "1"
        assert "ratelimit" not in refused.headers
        assert (await get(app, key="b")).status_code == 200
        app.state.gate.set()
        assert [answer.status_code for answer in await asyncio.gather(*slow)] == [200, 200]
        assert (await get(app, key="a")).status_code == 200

    asyncio.run(main())


def test_nothing_is_limited_unless_set() -> None:
    async def main() -> None:
        app = limited_app(Clock())
        assert {(await get(app)).status_code for _ in range(20)} == {200}

    asyncio.run(main())
