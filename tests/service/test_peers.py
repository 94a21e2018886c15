"""Who hangs up is seen at the socket, before the event loop hands it on; and is not worked for."""

import asyncio
import socket
import time
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from c2vl_serve.service.deadlines import protocol_class
from c2vl_serve.service.peers import Peer, has_left
from c2vl_serve.service.problems import CLIENT_GONE, Problem
from c2vl_serve.service.turnstile import Turnstile
from tests.service.test_batching import Adding, ask, batcher_of, connected, windows


class Transport:
    """What a peer wants of a transport."""

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection

    def get_extra_info(self, name: str) -> Any:
        return self._connection if name == "socket" else None


def test_a_closed_end_is_seen_behind_data_that_nobody_read() -> None:
    near, far = socket.socketpair()
    with near:
        peer = Peer(Transport(near))
        far.sendall(b"a whole request")
        assert not peer.has_left()
        far.close()
        assert peer.has_left()


def test_a_connection_that_ended_stays_so_whoever_gets_its_number() -> None:
    near, far = socket.socketpair()
    with near, far:
        peer = Peer(Transport(near))
        peer.close()
        assert peer.has_left()


def test_without_a_socket_nobody_is_seen_to_leave() -> None:
    assert not Peer(Transport(None)).has_left()
    assert not has_left({"type": "http"})()


def test_a_server_tells_it_within_one_turn_of_the_loop() -> None:
    seen: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        look = has_left(scope)
        seen.append(look())
        connection.close()
        end = time.monotonic() + 30
        while not look() and time.monotonic() < end:  # the loop stands still meanwhile
            time.sleep(0.001)
        seen.append(look())
        answered.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def main() -> None:
        server = uvicorn.Server(
            uvicorn.Config(app, port=0, http=protocol_class(5.0), lifespan="off", log_config=None)
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        await asyncio.to_thread(connection.connect, ("127.0.0.1", port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(answered.wait(), 30)
        server.should_exit = True
        await serving

    connection, answered = socket.socket(), asyncio.Event()
    asyncio.run(main())
    assert seen == [False, True]


def test_windows_of_who_left_are_not_run() -> None:
    """Neither at once nor from the queue, whatever the event loop has told so far."""

    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime) as batcher:
            with pytest.raises(Problem) as caught:
                await batcher.run(windows(1), receive=connected, has_left=lambda: True)
            assert caught.value.status == CLIENT_GONE
            assert (await ask(batcher, 2), runtime.batches) == ([2], [[2]])

            gone: list[int] = []
            runtime.may_go.clear()
            first = asyncio.ensure_future(ask(batcher, 3))
            await asyncio.sleep(0)
            waiting = asyncio.ensure_future(
                batcher.run(windows(4), receive=connected, has_left=lambda: bool(gone))
            )
            await asyncio.sleep(0)
            gone.append(1)
            runtime.may_go.set()
            assert await first == [3]
            with pytest.raises(Problem, match="closed the connection"):
                await waiting
            assert runtime.batches == [[2], [3]]

    asyncio.run(main())


def test_who_left_is_not_let_in() -> None:
    async def main() -> None:
        turnstile = Turnstile(1)
        gone: list[int] = []
        place = await turnstile.enter(receive=connected, deadline=None)
        leaving, staying = (
            asyncio.ensure_future(turnstile.enter(receive=connected, deadline=None, has_left=look))
            for look in (lambda: bool(gone), lambda: False)
        )
        await asyncio.sleep(0)
        gone.append(1)
        place.leave()
        with pytest.raises(Problem, match="closed the connection"):
            await leaving
        (await asyncio.wait_for(staying, 30)).leave()
        with pytest.raises(Problem, match="closed the connection"):
            await turnstile.enter(receive=connected, deadline=None, has_left=lambda: True)
        assert turnstile.num_waiting == 0

    asyncio.run(main())
