"""Size, time and key of a request, before any route sees it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.service import problems
from c2vl_serve.service.keys import ApiKeyGate
from c2vl_serve.service.limits import BodyGuard
from c2vl_serve.service.settings import ServiceSettings, read_settings

SETTINGS = ServiceSettings(
    max_body_bytes=1000,
    max_held_bytes=2500,
    body_seconds=0.5,
    body_grace_seconds=0.1,
    body_min_rate=1000,
)


def counting_app(*keys: str) -> FastAPI:
    """Answers with the length of the body it was given, and the deadline."""
    app = FastAPI()

    @app.post("/count")
    async def count(request: Request) -> dict[str, Any]:
        deadline = request.state.deadline
        body = await request.body()
        left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        return {"length": len(body), "left": left}

    @app.get("/health/live")
    async def live() -> str:
        return "live"

    problems.install(app)
    app.add_middleware(BodyGuard, settings=SETTINGS)
    app.add_middleware(ApiKeyGate, keys=keys)
    return app


async def post(app: ASGIApp, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test"
    ) as client:
        return await client.post("/count", **request)


async def chunks(*parts: bytes, pause: float = 0.0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(pause)
        yield part


def test_a_body_within_the_limits_passes() -> None:
    answer = asyncio.run(post(counting_app(), content=b"x" * 1000))
    assert answer.json() == {"length": 1000, "left": None}


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    async def main() -> tuple[list[Message], int]:
        sent: list[Message] = []
        num_reads = 0

        async def receive() -> Message:
            nonlocal num_reads
            num_reads += 1
            return {"type": "http.request", "body": b"x" * 1001, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/count",
            "headers": [(b"content-length", b"1001")],
        }
        await counting_app()(scope, receive, send)
        return sent, num_reads

    sent, num_reads = asyncio.run(main())
    assert sent[0]["status"] == 413
    assert b"the body has 1001 bytes; at most 1000" in sent[1]["body"]
    assert num_reads == 0


def test_a_body_in_chunks_is_refused_at_the_byte_that_is_too_much() -> None:
    answer = asyncio.run(post(counting_app(), content=chunks(*[b"x" * 100] * 11)))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "goes on after 1100 bytes" in answer.json()["detail"]


def test_all_bodies_together_are_bounded_until_they_are_answered() -> None:
    async def main() -> list[int]:
        app = counting_app()
        slow = [post(app, content=chunks(b"x" * 900, b"", pause=0.05)) for _ in range(3)]
        answers = await asyncio.gather(*slow)
        later = await post(app, content=b"x" * 1000)
        assert "try again later" in min(answers, key=lambda a: -a.status_code).json()["detail"]
        return [*sorted(answer.status_code for answer in answers), later.status_code]

    assert asyncio.run(main()) == [200, 200, 503, 200]


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "٣"])
def test_a_content_length_that_is_no_number(length: str) -> None:
    headers = {"Content-Length": length.encode()}
    answer = asyncio.run(post(counting_app(), content=b"x", headers=headers))
    assert answer.status_code == 400
    assert "expected a number of bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        chunks(b"x", b"y", pause=0.2),
        # Fast enough for the rate, too slow for the whole time.
        chunks(*[b"x" * 100] * 10, pause=0.08),
    ],
    ids=["rate", "whole"],
)
def test_a_slow_body_is_408(body: AsyncIterator[bytes]) -> None:
    answer = asyncio.run(post(counting_app(), content=body))
    assert answer.status_code == 408
    assert "the body came too slowly" in answer.json()["detail"]


def test_a_request_timeout_is_a_deadline_for_the_body_and_the_routes() -> None:
    async def main() -> tuple[httpx.Response, httpx.Response]:
        quick = await post(counting_app(), content=b"x", headers={"X-Request-Timeout": "2.5"})
        slow = await post(
            counting_app(), content=chunks(b"x", pause=0.09), headers={"X-Request-Timeout": "0.05"}
        )
        return quick, slow

    quick, slow = asyncio.run(main())
    assert 2 < quick.json()["left"] <= 2.5
    assert slow.status_code == 408


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_request_timeout_that_is_no_time(value: str) -> None:
    answer = asyncio.run(post(counting_app(), headers={"X-Request-Timeout": value}))
    assert answer.status_code == 400
    assert "X-Request-Timeout is" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": "first"}, 200),
        ({"X-API-Key": "second"}, 200),
        ({"Authorization": "Bearer second"}, 200),
        ({"Authorization": "bearer  first "}, 200),
        ({"Authorization": "Basic first"}, 401),
        ({"X-API-Key": "firs"}, 401),
        ({"X-API-Key": ""}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"X-API-Key": "schlüssel".encode()}, 401),
    ],
)
def test_keys(headers: dict[str, Any], status: int) -> None:
    answer = asyncio.run(post(counting_app("first", "second"), content=b"x", headers=headers))
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "wants an API key" in answer.json()["detail"]


def test_probes_need_no_key() -> None:
    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app=counting_app("first"))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/health/live")

    assert asyncio.run(main()).status_code == 200


def test_keys_come_from_the_environment_and_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("gamma\n\n  delta \n")
    monkeypatch.setenv("C2VL_API_KEYS", "alpha, beta,")
    monkeypatch.setenv("C2VL_API_KEYS_FILE", str(tmp_path / "keys"))
    settings = read_settings()
    keys = [key.get_secret_value() for key in settings.api_keys]
    assert keys == ["alpha", "beta", "gamma", "delta"]
    assert "alpha" not in repr(settings)
    assert "delta" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("C2VL_PORT", "http", "C2VL_PORT: Input should be a valid integer"),
        ("C2VL_PROVIDER", "gpu", "C2VL_PROVIDER: Input should be 'cpu'"),
        ("C2VL_API_KEYS_FILE", "/absent", "the API keys file cannot be read"),
        ("C2VL_MAX_BODY_BYTES", "0", "C2VL_MAX_BODY_BYTES: Input should be greater"),
    ],
)
def test_a_wrong_setting_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeUnavailable, match=message):
        read_settings()


def test_an_empty_keys_file_does_not_open_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("\n")
    monkeypatch.setenv("C2VL_API_KEYS_FILE", str(tmp_path / "keys"))
    with pytest.raises(RuntimeUnavailable, match="holds no key"):
        read_settings()


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2VL_PORT", "9000")
    assert read_settings(port=None).port == 9000
    assert read_settings(port=9001).port == 9001
    assert read_settings().host == "127.0.0.1"
