"""Connections of a real server: headers that never end, bodies that were answered early."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI, Request

from c2vl_serve.service import deadlines, problems
from c2vl_serve.service.limits import BodyGuard
from c2vl_serve.service.settings import ServiceSettings

HEADER_SECONDS = 0.4


def _app() -> FastAPI:
    app = FastAPI()

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    problems.install(app)
    app.add_middleware(BodyGuard, settings=ServiceSettings(max_body_bytes=100_000))
    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    config = uvicorn.Config(
        _app(),
        port=0,
        http=deadlines.protocol_class(HEADER_SECONDS),
        log_config=None,
        timeout_keep_alive=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as opened:
        yield opened


def receive_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def answer_of(connection: socket.socket) -> tuple[int, str]:
    """Status and body of the next answer, leaving the connection open."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read().decode()


def post(body: bytes, length: int | None = None) -> bytes:
    head = f"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: {length or len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("sent", [b"", b"POST /count HTTP/1.1\r\nHost: x\r\n"])
def test_headers_that_do_not_end_are_408(connection: socket.socket, sent: bytes) -> None:
    begun = time.monotonic()
    connection.sendall(sent)
    answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"headers did not arrive within 0.4 s" in answer
    assert 0.3 < time.monotonic() - begun < 2


def test_headers_that_trickle_are_408(connection: socket.socket) -> None:
    connection.sendall(b"POST /count HTTP/1.1\r\n")
    for _ in range(3):
        time.sleep(0.1)
        connection.sendall(b"X-More: 1\r\n")
    assert receive_all(connection).startswith(b"HTTP/1.1 408 ")


def test_so_are_a_second_request_s(connection: socket.socket) -> None:
    connection.sendall(post(b"abc"))
    assert answer_of(connection) == (200, "3")
    time.sleep(2 * HEADER_SECONDS)  # keep-alive is longer than the header deadline
    connection.sendall(post(b"abcd"))
    assert answer_of(connection) == (200, "4")
    connection.sendall(b"POST /count")
    assert receive_all(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /count HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /" + b"x" * 100_000,
    ],
    ids=["tls", "negative length", "two lengths", "long path"],
)
def test_what_is_not_http_is_a_problem(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    status, body = answer_of(connection)
    assert status == 400
    assert json.loads(body)["detail"] == "this is not a valid HTTP/1.1 request"


def test_a_slow_body_is_not_the_header_deadlines_business(connection: socket.socket) -> None:
    connection.sendall(post(b"a", length=2))
    time.sleep(2 * HEADER_SECONDS)
    connection.sendall(b"b")
    assert answer_of(connection) == (200, "2")


def test_a_body_too_large_gets_its_answer_although_it_is_still_being_sent(
    connection: socket.socket,
) -> None:
    connection.sendall(post(b"x" * 3_000_000))
    status, body = answer_of(connection)
    assert status == 413
    assert "3000000 bytes; at most 100000" in body
    connection.sendall(post(b"abc"))
    assert answer_of(connection) == (200, "3")


def test_a_body_that_is_answered_early_may_not_go_on_for_ever(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "LINGER_SECONDS", 0.3)
    connection.sendall(post(b"x" * 10, length=1_000_000))
    assert answer_of(connection)[0] == 413
    begun = time.monotonic()
    with pytest.raises(OSError, match="reset|Broken pipe"):
        trickle(connection)
    assert 0.2 < time.monotonic() - begun < 2


def trickle(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 10)
        time.sleep(0.05)
