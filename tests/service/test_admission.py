"""What is refused before its body is read, and what a service that stops still does."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.admission import Admission
from c2vl_serve.service.app import create_app
from c2vl_serve.service.batching import Batcher
from c2vl_serve.service.lanes import Lane
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.state import ServiceState

from .test_predict import SKELETON

BUSY = 7.2  # seconds


@pytest.fixture
def app(recognizer: ActionRecognizer) -> FastAPI:
    return create_app(ServiceSettings(pose_workers=0, api_keys=()), recognizer)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app) as opened:
        yield opened


def state_of(app: FastAPI) -> ServiceState:
    state = app.state.service
    assert isinstance(state, ServiceState)
    return state


async def _unread(app: FastAPI, headers: dict[str, str]) -> tuple[list[Message], int]:
    """The answer to a POST with these headers, and how often its body was asked for."""
    sent: list[Message] = []
    num_reads = 0

    async def receive() -> Message:
        nonlocal num_reads
        num_reads += 1
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    return sent, num_reads


@pytest.mark.parametrize(
    ("content_type", "busy", "is_refused"),
    [
        ("application/json", "skeleton", True),
        ("application/json; charset=utf-8", "skeleton", True),
        ("application/x-npy", "skeleton", True),
        ("application/x-npy", "video", False),
        ("video/mp4", "video", True),
        ("video/mp4", "skeleton", False),
        ("multipart/form-data; boundary=x", "skeleton", False),
        ("multipart/form-data; boundary=x", "video", False),
        ("multipart/form-data; boundary=x", "skeleton video", True),
        ("text/plain", "skeleton video", False),
    ],
)
def test_the_content_type_tells_which_queue(
    app: FastAPI,
    client: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    content_type: str,
    busy: str,
    is_refused: bool,
) -> None:
    for name, queue in (("skeleton", Batcher), ("video", Lane)):
        if name in busy:
            limits = state_of(app)
            limits.videos.max_wait = 1.0
            monkeypatch.setattr(queue, "estimated_wait", BUSY)
    sent, num_reads = asyncio.run(_unread(app, {"content-type": content_type}))
    headers = dict(sent[0]["headers"])
    if is_refused:
        assert (sent[0]["status"], num_reads) == (503, 0)
        assert headers[b"retry-after"] == b"8"
        assert b"would wait longer than" in sent[1]["body"]
        assert headers[b"content-type"] == b"application/problem+json"
    else:
        assert num_reads > 0 or sent[0]["status"] == 415
    assert state_of(app).num_refused == is_refused


def test_a_refusal_that_lies_ready_names_each_request_in_its_header_alone(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batcher, "estimated_wait", BUSY)
    for name in ("first", "second"):
        refused = client.post("/predict", json=SKELETON, headers={"X-Request-ID": name})
        assert refused.status_code == 503
        assert refused.headers.get_list("x-request-id") == [name]
        assert "request_id" not in refused.json()


def test_a_request_timeout_shortens_what_it_may_wait(
    app: FastAPI, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Batcher, "estimated_wait", 0.3)
    headers = {"content-type": "application/json"}
    assert asyncio.run(_unread(app, headers))[1] > 0
    hasty = {**headers, "x-request-timeout": "0.2"}
    sent, num_reads = asyncio.run(_unread(app, hasty))
    assert (sent[0]["status"], num_reads) == (503, 0)
    assert b"longer than 0.2 s now; try again in 1 s" in sent[1]["body"]


def test_a_service_that_drains_says_so_and_takes_nothing_new(
    app: FastAPI, client: TestClient
) -> None:
    assert client.post("/predict", json=SKELETON).headers.get("connection") != "close"
    state_of(app).is_draining = True
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.headers["connection"]) == (503, "close")
    assert "the service is stopping" in ready.json()["detail"]
    refused = client.post("/predict", json=SKELETON)
    assert (refused.status_code, refused.headers["connection"]) == (503, "close")
    assert refused.headers["retry-after"] == "1"
    assert "send it again, to another" in refused.json()["detail"]
    assert client.get("/health/live").status_code == 200
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/stream"):
        pass
    assert caught.value.code == 1012


@pytest.mark.parametrize("is_draining", [True, False])
def test_what_is_given_up_while_stopping_is_told_so(client: TestClient, is_draining: bool) -> None:
    """The server cancels what did not end in time; the client must not take that for a fault."""
    app = client.app
    assert isinstance(app, FastAPI)
    sent: list[Message] = []

    async def give_up() -> None:
        began = asyncio.Event()

        async def never(scope: Any, receive: Any, send: Any) -> None:
            began.set()
            await asyncio.Event().wait()

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "app": app, "headers": [], "state": {}}
        task = asyncio.create_task(Admission(never)(scope, receive, send))
        await began.wait()
        state_of(app).is_draining = is_draining
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is not is_draining

    asyncio.run(give_up())
    assert [message.get("status") for message in sent] == ([503, None] if is_draining else [])
