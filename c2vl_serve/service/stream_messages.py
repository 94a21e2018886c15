"""What is said over ``/stream``: the client's messages checked, the server's spelled.

docs/stream.md is the protocol for people. A frame message becomes a SkeletonSequence with the
readers that files and bodies go through.
"""

from typing import Any, Literal, TypeAlias

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from c2vl_serve.recognition.answers import Recognition
from c2vl_serve.recognition.live import LiveWindow
from c2vl_serve.service.problems import Problem
from c2vl_serve.skeleton.formats import ReadOptions, SequenceLimits, sequence_from_dict
from c2vl_serve.skeleton.formats.assemble import assemble
from c2vl_serve.skeleton.formats.json_object import layout_from_reference
from c2vl_serve.skeleton.layout import SkeletonLayout
from c2vl_serve.skeleton.sequence import SkeletonSequence

MAX_MESSAGE_BYTES = 2**18  # a second of ten persons as nested JSON at 30 frames per second
_FLOAT32 = np.dtype("<f4")


class Hello(BaseModel):
    """The first message of a new session: what the frames will be, and what is wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["hello"]
    layout: str | dict[str, Any]
    fps: float = Field(gt=0, le=1000, allow_inf_nan=False)
    persons: int = Field(1, ge=1, le=100)
    visibility: bool = False  # binary frames carry it behind x, y, z
    window: float | None = Field(None, ge=0.1, le=60, allow_inf_nan=False)
    stride: float | None = Field(None, ge=0.1, le=60, allow_inf_nan=False)
    top_k: int = Field(5, ge=1, le=1000)

    def known_layout(self) -> SkeletonLayout:
        """The layout that is named or described.

        Raises:
            FieldError: it is neither known nor a layout.
        """
        return layout_from_reference(self.layout, ReadOptions())


class Resume(BaseModel):
    """The first message of a client that was cut off: which session, and what it has got."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["resume"]
    session: str = Field(max_length=64)
    after: int = Field(-1, ge=-1)  # the last window that it has


Opening: TypeAlias = Hello | Resume


def read_opening(text: str | bytes) -> Opening:
    """The first message.

    Raises:
        Problem: 400 for what is not JSON, 422 for what is neither hello nor resume.
    """
    fields = _object(text)
    known: dict[str, type[Opening]] = {"hello": Hello, "resume": Resume}
    kind = known.get(str(fields.get("type")))
    if kind is None:
        raise Problem(
            422,
            f"the first message is of type {str(fields.get('type'))[:20]!r}; "
            "expected 'hello' or 'resume'",
        )
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        faults = [
            {"pointer": "#/" + "/".join(map(str, fault["loc"])), "detail": fault["msg"]}
            for fault in error.errors()
        ]
        detail = "; ".join(f"{fault['pointer'][2:]}: {fault['detail']}" for fault in faults)
        raise Problem(422, f"the first message cannot be used: {detail}", errors=faults) from error


class FrameReader:
    """Turns messages into frames, as a session's hello described them.

    Args:
        hello: of the session.
        max_seconds: that one message may hold.
    """

    def __init__(self, hello: Hello, max_seconds: float) -> None:
        self._hello = hello
        self._layout = hello.known_layout()
        self._options = ReadOptions(
            layout=self._layout,
            fps=hello.fps,
            limits=SequenceLimits(persons=hello.persons, seconds=max_seconds),
        )

    def text(self, text: str) -> SkeletonSequence | None:
        """The frames of a text message; None for the message that ends the stream.

        Raises:
            Problem: it is not JSON, or no message of the protocol.
            SequenceError: the frames cannot be used.
        """
        fields = _object(text)
        kind = fields.pop("type", None)
        if kind == "end" and not fields:
            return None
        if kind != "frames":
            raise Problem(
                422, f"the message is of type {str(kind)[:20]!r}; expected 'frames' or 'end'"
            )
        for key in fields.keys() & {"layout", "fps", "up", "person_ids"}:
            raise Problem(422, f"{key} is said once, in hello; frames hold joints and visibility")
        return self._checked(sequence_from_dict(fields, self._options))

    def binary(self, data: bytes) -> SkeletonSequence:
        """The frames of a binary message: little-endian float32, ``T M V 3`` or ``T M V 4``.

        Raises:
            SequenceError: the frames cannot be used.
            Problem: it is no whole number of frames.
        """
        size = self.frame_bytes
        if not data or len(data) % size:
            raise Problem(
                422,
                f"the message has {len(data)} bytes; one frame has {size} "
                f"({self._shape} little-endian float32): send whole frames",
            )
        numbers = np.frombuffer(data, _FLOAT32).reshape(-1, *self._shape)
        return assemble(
            numbers[..., :3],
            layout=self._layout,
            fps=self._hello.fps,
            options=self._options,
            visibility=numbers[..., 3] if self._hello.visibility else None,
        )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame in a binary message."""
        return int(np.prod(self._shape)) * _FLOAT32.itemsize

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self._hello.persons, self._layout.num_joints, 4 if self._hello.visibility else 3

    def _checked(self, frames: SkeletonSequence) -> SkeletonSequence:
        if frames.num_persons != self._hello.persons:
            raise Problem(
                422,
                f"the frames show {frames.num_persons} persons; hello said {self._hello.persons}: "
                "send everyone in every frame, with visibility 0 for who is missing",
            )
        return frames


def window_message(window: LiveWindow, found: Recognition, milliseconds: float) -> bytes:
    """The answer for a window; ``milliseconds`` since its last frame came."""
    persons = [
        {
            "id": person.id,
            "actions": person.actions,
            "recognised": person.recognised,
        }
        for person in found.persons
    ]
    return spell(
        "window",
        index=window.index,
        start=window.start,
        end=window.end,
        persons=persons,
        actions=found.actions,
        recognised=found.recognised,
        latency_ms=round(milliseconds, 3),
    )


def error_message(problem: Problem) -> bytes:
    """What is said before the connection is closed."""
    return spell("error", problem=problem.content)


def spell(kind: str, **fields: Any) -> bytes:
    """A message of the server."""
    return orjson.dumps({"type": kind, **fields})


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the message is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Problem(400, "the message is not a JSON object; see docs/stream.md")
    return fields
