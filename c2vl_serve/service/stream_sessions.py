"""What a stream's connection leaves behind when it breaks: its session, for a grace time.

A session holds the frames of one window, a few windows that wait, and the last answers. All of
it is bounded, and so is the number of sessions.
"""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from c2vl_serve.recognition.live import LiveWindow, LiveWindows
from c2vl_serve.service.problems import Problem, busy
from c2vl_serve.service.stream_messages import FrameReader, Hello

MAX_WAITING = 8  # windows of one session that wait to be recognised; the oldest is dropped
MAX_ANSWERS = 32  # kept for a client that comes back


class Waiting(NamedTuple):
    """A window that is whole, and when its last frame came (seconds of the loop's clock)."""

    window: LiveWindow
    since: float


class Answer(NamedTuple):
    """What was answered for the window of this number, as it was spelled."""

    window: int
    message: bytes


@dataclass(slots=True)
class Pace:
    """How far a client is ahead of its own frame rate: a bucket that empties with time."""

    ahead: float = 0.0  # seconds
    _at: float | None = None

    def sent(self, seconds: float, now: float) -> None:
        """Count frames that last so many seconds."""
        self.settle(now)
        self.ahead += seconds

    def settle(self, now: float) -> None:
        """Let the time that passed count; a client that pauses saves nothing up."""
        if self._at is not None:
            self.ahead = max(0.0, self.ahead - (now - self._at))
        self._at = now


@dataclass(slots=True, eq=False)
class StreamSession:
    """One stream, whichever connection carries it now.

    Attributes:
        id: what a client resumes with; not to be guessed.
        hello: what the client said the frames are.
        reader: of the client's frames.
        windows: the frames so far.
        waiting: windows to be recognised, oldest first.
        arrived: set while windows wait or the stream has ended.
        answers: the last ones, for a client that missed them.
        is_ended: the client said so; no frames follow.
        taken_over: set when another connection resumes it; replaced for that connection.
        left_at: when the last connection broke, None while there is one.
    """

    hello: Hello
    reader: FrameReader
    windows: LiveWindows
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    pace: Pace = field(default_factory=Pace)
    waiting: deque[Waiting] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    answers: deque[Answer] = field(default_factory=lambda: deque(maxlen=MAX_ANSWERS))
    is_ended: bool = False
    taken_over: asyncio.Event = field(default_factory=asyncio.Event)
    left_at: float | None = None

    def add(self, windows: list[LiveWindow], now: float) -> list[LiveWindow]:
        """Let windows wait; those that no longer fit, oldest first, for the client to be told."""
        self.waiting.extend(Waiting(window, now) for window in windows)
        too_many = max(0, len(self.waiting) - MAX_WAITING)
        if self.waiting:
            self.arrived.set()
        return [self.waiting.popleft().window for _ in range(too_many)]

    def end(self, now: float) -> list[LiveWindow]:
        """No frames follow: the last window waits as well."""
        self.is_ended = True
        self.arrived.set()
        return self.add(self.windows.finish(), now)

    def missed(self, after: int) -> list[bytes]:
        """Answers kept that came after the window of this index."""
        return [answer.message for answer in self.answers if answer.window > after]


class StreamSessions:
    """All sessions of a service; used from the event loop only.

    Args:
        most: sessions at once, broken ones in their grace time included.
        grace_seconds: for which a session outlives its connection.
    """

    def __init__(self, *, most: int, grace_seconds: float) -> None:
        self._most = most
        self._grace_seconds = grace_seconds
        self._sessions: dict[str, StreamSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, session: StreamSession, now: float) -> None:
        """Keep a new session; one whose connection broke makes room where there is none.

        Raises:
            Problem: 503, all are in use.
        """
        self._forget_expired(now)
        if len(self._sessions) >= self._most:
            left = [s for s in self._sessions.values() if s.left_at is not None]
            if not left:
                raise busy(
                    f"{len(self._sessions)} streams are open, as many as are allowed; "
                    "try again later",
                    self._grace_seconds,
                )
            self.forget(min(left, key=lambda s: s.left_at or 0.0))
        self._sessions[session.id] = session

    def resume(self, session_id: str, now: float) -> StreamSession:
        """The session of this id, for a new connection; an old one is told to go.

        Raises:
            Problem: 404, there is none, or none any more.
        """
        self._forget_expired(now)
        session = self._sessions.get(session_id)
        if session is None:
            raise Problem(
                404,
                "there is no such session (any more); a session outlives its connection by "
                f"{self._grace_seconds:g} s: say hello again",
            )
        session.taken_over.set()
        session.taken_over = asyncio.Event()
        session.left_at = None
        return session

    def leave(self, session: StreamSession, now: float) -> None:
        """The session's connection broke: its grace time begins."""
        session.left_at = now

    def forget(self, session: StreamSession) -> None:
        """The session is over."""
        self._sessions.pop(session.id, None)

    def _forget_expired(self, now: float) -> None:
        for session in list(self._sessions.values()):
            if session.left_at is not None and now - session.left_at > self._grace_seconds:
                self.forget(session)
