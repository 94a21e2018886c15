"""``WS /stream``: live frames in, an answer for each window out; docs/stream.md is the protocol.

Two tasks carry a connection. One reads frames and cuts windows, and waits where the client is far
ahead of its frame rate. The other has windows recognised in the batches of all requests and sends
the answers. Between them wait a few windows at most.
"""

import asyncio
import logging
from typing import Any, NoReturn
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.types import Message

from c2vl_serve.errors import C2VLError
from c2vl_serve.recognition.answers import Recognition
from c2vl_serve.recognition.live import LiveWindow, LiveWindows
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.keys import STREAM_PROTOCOL
from c2vl_serve.service.problems import Problem, of_error
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.state import ServiceState
from c2vl_serve.service.stream_messages import (
    MAX_MESSAGE_BYTES,
    FrameReader,
    Hello,
    Resume,
    error_message,
    read_opening,
    spell,
    window_message,
)
from c2vl_serve.service.stream_sessions import Answer, StreamSession, StreamSessions
from c2vl_serve.skeleton.sequence import SkeletonSequence

logger = logging.getLogger(__name__)
router = APIRouter()

CLOSE_BASE = 4000  # a problem of status S closes with 4000 + S
NORMAL_CLOSE = 1000


@router.websocket("/stream")
async def stream(websocket: WebSocket) -> None:
    """One connection; whatever is wrong is said in a message before it is closed."""
    if _is_from_elsewhere(websocket):
        refused = Problem(403, "this page is of another origin than the service; CORS is off")
        await websocket.send_denial_response(refused.response())
        return
    offered = websocket.scope["subprotocols"]
    await websocket.accept(STREAM_PROTOCOL if STREAM_PROTOCOL in offered else None)
    connection = StreamConnection(websocket)
    try:
        await connection.serve()
        await websocket.close(NORMAL_CLOSE)
    except WebSocketDisconnect:
        return
    except Problem as problem:
        await connection.part(problem)
    except C2VLError as error:
        await connection.part(of_error(error))


def _is_from_elsewhere(websocket: WebSocket) -> bool:
    """Whether a browser says that a page of another origin asks: CORS does not cover sockets."""
    origin = websocket.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != websocket.headers.get("host")


class StreamConnection:
    """Carries one session over one accepted socket, or as much of it as the socket lives."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._state: ServiceState = websocket.app.state.service
        self._sessions: StreamSessions = websocket.app.state.streams
        self._settings: ServiceSettings = websocket.app.state.settings
        self._loop = asyncio.get_running_loop()

    async def serve(self) -> None:
        """From the first message to the end of the stream.

        Raises:
            Problem: the connection has to be closed for this reason.
            SequenceError: frames cannot be used.
            WebSocketDisconnect: the client went.
        """
        recognizer = self._state.ready().recognizer
        message = await self._receive(self._settings.header_seconds, "the first message")
        opening = read_opening(message.get("text") or message.get("bytes") or "")
        session = self._opened(opening, recognizer)
        taken_over = session.taken_over
        try:
            await self._greet(session, opening, recognizer)
            await self._converse(session, recognizer, taken_over)
            self._sessions.forget(session)
        finally:
            if taken_over is session.taken_over:  # else it is another connection's now
                self._sessions.leave(session, self._loop.time())

    async def part(self, problem: Problem) -> None:
        """Say what is wrong, then close."""
        try:
            await self._send(error_message(problem))
            await self._websocket.close(CLOSE_BASE + problem.status)
        except (WebSocketDisconnect, RuntimeError):
            logger.debug("a stream's client went before it was told why")

    def _opened(self, opening: Hello | Resume, recognizer: ActionRecognizer) -> StreamSession:
        if isinstance(opening, Resume):
            return self._sessions.resume(opening.session, self._loop.time())
        settings = self._settings
        for name, value, most in (
            ("persons", opening.persons, settings.max_persons),
            ("fps", opening.fps, settings.stream_max_fps),
        ):
            if value > most:
                detail = f"{name} is {value:g}; a stream may have at most {most:g}"
                raise Problem(422, detail, errors=[{"pointer": f"#/{name}", "detail": detail}])
        session = StreamSession(
            hello=opening,
            reader=FrameReader(opening, settings.stream_max_ahead),
            windows=LiveWindows(
                layout=opening.known_layout(),
                fps=opening.fps,
                config=recognizer.bundle.card.preprocessing,
                window=opening.window,
                stride=opening.stride,
            ),
        )
        self._sessions.add(session, self._loop.time())
        return session

    async def _greet(
        self, session: StreamSession, opening: Hello | Resume, recognizer: ActionRecognizer
    ) -> None:
        """Say what was agreed; after a break also what the client missed."""
        settings = self._settings
        await self._send(
            spell(
                "ready",
                session=session.id,
                resumed=isinstance(opening, Resume),
                frames=session.windows.num_received,
                bundle=recognizer.bundle.card.identity,
                runtime=recognizer.runtime.name,
                window=session.windows.window_seconds,
                stride=session.windows.stride_seconds,
                frame_bytes=session.reader.frame_bytes,
                max_message_bytes=MAX_MESSAGE_BYTES,
                max_ahead_seconds=settings.stream_max_ahead,
                idle_seconds=settings.stream_idle_seconds,
                grace_seconds=settings.stream_grace_seconds,
            )
        )
        if isinstance(opening, Resume):
            for message in session.missed(opening.after):
                await self._send(message)

    async def _converse(
        self, session: StreamSession, recognizer: ActionRecognizer, taken_over: asyncio.Event
    ) -> None:
        reading = asyncio.ensure_future(self._read(session))
        answering = asyncio.ensure_future(self._answer(session, recognizer))
        leaving = asyncio.ensure_future(_leave(taken_over))
        both = asyncio.gather(reading, answering)
        either: set[asyncio.Future[Any]] = {both, leaving}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                leaving.result()
            await both
        finally:
            # Where one task fails, gather leaves the other running: on the session of the next
            # connection, whose answers it would send into this one.
            for task in (reading, answering, leaving):
                task.cancel()
            await asyncio.gather(reading, answering, leaving, return_exceptions=True)

    async def _read(self, session: StreamSession) -> None:
        while not session.is_ended:
            frames = await self._frames(session)
            now = self._loop.time()
            if frames is None:
                await self._tell_dropped(session.end(now), "the answers fell behind")
                return
            dropped = session.add(session.windows.push(frames), now)
            await self._tell_dropped(dropped, "the answers fell behind the frames")
            session.pace.sent(frames.duration, now)
            await self._keep_pace(session)

    async def _frames(self, session: StreamSession) -> SkeletonSequence | None:
        message = await self._receive(self._settings.stream_idle_seconds, "the next frames")
        text, data = message.get("text"), message.get("bytes")
        if len(text or data or "") > MAX_MESSAGE_BYTES:
            raise Problem(
                413,
                f"the message is longer than {MAX_MESSAGE_BYTES} bytes; send fewer frames at a "
                "time",
            )
        return session.reader.text(text) if text is not None else session.reader.binary(data or b"")

    async def _keep_pace(self, session: StreamSession) -> None:
        """Where the client is too far ahead of its frame rate, tell it, and read no further."""
        ahead, most = session.pace.ahead, self._settings.stream_max_ahead
        if ahead > most:
            pause = ahead - most / 2
            await self._send(
                spell(
                    "slow_down",
                    ahead_seconds=round(ahead, 3),
                    max_ahead_seconds=most,
                    reading_again_in_seconds=round(pause, 3),
                )
            )
            await asyncio.sleep(pause)

    async def _answer(self, session: StreamSession, recognizer: ActionRecognizer) -> None:
        """Recognise what waits, in order, until the stream has ended and nothing waits."""
        while session.waiting or not session.is_ended:
            await session.arrived.wait()
            if not session.waiting:
                session.arrived.clear()
                continue
            first = session.waiting[0]
            try:
                found = await self._recognised(first.window, session.hello, recognizer)
            except Problem as problem:
                _take(session, first)
                await self._tell_dropped([first.window], problem.detail)
                continue
            if not _take(session, first):
                continue  # it was dropped, and the client was told
            milliseconds = 1000 * (self._loop.time() - first.since)
            message = window_message(first.window, found, milliseconds)
            session.answers.append(Answer(first.window.index, message))
            await self._send(message)
        await self._send(
            spell("ended", frames=session.windows.num_received, windows=session.windows.num_windows)
        )

    async def _recognised(
        self, window: LiveWindow, hello: Hello, recognizer: ActionRecognizer
    ) -> Recognition:
        seen = window.seen(recognizer.bundle.card.preprocessing)
        prepared = await asyncio.to_thread(recognizer.prepare, seen, max_persons=hello.persons)
        if len(prepared.inputs) == 0:
            outputs, milliseconds = recognizer.run(prepared.inputs), 0.0
        else:
            outputs, milliseconds = await self._state.queue().run(prepared.inputs, receive=_silence)
        return recognizer.answer(prepared, outputs, top_k=hello.top_k, inference_ms=milliseconds)

    async def _tell_dropped(self, windows: list[LiveWindow], reason: str) -> None:
        if windows:
            await self._send(
                spell("dropped", windows=[window.index for window in windows], reason=reason)
            )

    async def _receive(self, seconds: float, what: str) -> Message:
        try:
            async with asyncio.timeout(seconds):
                message = await self._websocket.receive()
        except TimeoutError:
            raise Problem(408, f"{what} did not come within {seconds:g} s") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL_CLOSE))
        return message

    async def _send(self, message: bytes) -> None:
        await self._websocket.send_text(message.decode())


def _take(session: StreamSession, first: object) -> bool:
    """Take the first that waits, if it is still there."""
    if session.waiting and session.waiting[0] is first:
        session.waiting.popleft()
        return True
    return False


async def _leave(taken_over: asyncio.Event) -> NoReturn:
    await taken_over.wait()
    raise Problem(409, "another connection resumed this session")


async def _silence() -> Message:
    """For the queue: whether the client went is seen where frames are read."""
    return await asyncio.get_running_loop().create_future()
