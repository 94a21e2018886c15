"""What both clients share: from arguments to a request, from a response to a value or an error.

Nothing here waits or sends, so that it is written once.
"""

import base64
import io
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote

import numpy as np
from jaxtyping import Float
from pydantic import ValidationError

from c2vl_serve.client.answers import Answer, Problem
from c2vl_serve.errors import (
    ClientError,
    RuntimeUnavailable,
    SequenceError,
    ServiceBusy,
    ServiceProblem,
)
from c2vl_serve.skeleton.formats.json_object import layout_reference
from c2vl_serve.skeleton.sequence import SkeletonSequence

__all__ = [
    "ACTIONS",
    "TRY_AGAIN",
    "Call",
    "Options",
    "Source",
    "action_path",
    "answer_of",
    "httpx",
    "pause_before_next",
    "post_source",
    "refuse_problem",
]

try:
    import httpx2 as httpx
except ImportError as error:
    raise RuntimeUnavailable(
        "httpx2 is not installed; run: pip install 'c2vl-serve[client]'"
    ) from error

Source: TypeAlias = str | Path | bytes | SkeletonSequence | Float[np.ndarray, "..."]
A = TypeVar("A", bound=Answer)

ACTIONS = "/gallery/actions"
TRY_AGAIN = frozenset({429, 503})
_FIRST_PAUSE = 0.5  # seconds, doubled each time, where the service does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request, as httpx takes it."""

    method: str
    path: str
    rest: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to reach a service.

    Attributes:
        timeout: seconds for one attempt; the service is told, and drops what is too late.
        max_wait: seconds that all pauses before further attempts may take together.
    """

    url: str
    api_key: str | None = None
    timeout: float = 60.0
    max_wait: float = 30.0

    def for_httpx(self) -> dict[str, Any]:
        """The arguments of either of httpx's clients."""
        headers = {"X-Request-Timeout": f"{self.timeout:g}"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return {"base_url": self.url, "headers": headers, "timeout": self.timeout}


def post_source(
    path: str, source: Source, layout: str | None, fps: float | None, query: dict[str, Any]
) -> Call:
    """``POST`` to a route that takes what ``/predict`` takes, in the body that suits the source.

    Raises:
        SequenceError: a file that cannot be read, or an array without layout and fps.
    """
    told = {"layout": layout, "fps": fps, **query}
    params = {key: value for key, value in told.items() if value is not None}
    return Call(method="POST", path=path, rest={"params": params, **_body(source, layout, fps)})


def action_path(name: str) -> str:
    """Of an enrolled action, whatever its name holds."""
    return f"{ACTIONS}/{quote(name, safe='')}"


def _body(source: Source, layout: str | None, fps: float | None) -> dict[str, Any]:
    if isinstance(source, SkeletonSequence):
        return {"json": _packed(source)}
    if isinstance(source, np.ndarray):
        if layout is None or fps is None:
            raise SequenceError("an array of joints says neither layout nor fps; give both")
        file = io.BytesIO()
        np.save(file, np.ascontiguousarray(source, np.float32), allow_pickle=False)
        return {"content": file.getvalue(), "headers": {"Content-Type": "application/x-npy"}}
    if isinstance(source, bytes):
        return {"files": {"file": ("upload", source)}}
    try:
        return {"files": {"file": (Path(source).name, Path(source).read_bytes())}}
    except OSError as error:
        raise SequenceError(f"{source} cannot be read: {error.strerror}") from error


def _packed(sequence: SkeletonSequence) -> dict[str, Any]:
    """The fastest of the JSON forms: base64 of little-endian float32."""
    return {
        "joints": _base64(sequence.joints),
        "visibility": _base64(sequence.visibility),
        "shape": list(sequence.joints.shape),
        "encoding": "base64",
        "layout": layout_reference(sequence.layout),
        "fps": sequence.fps,
        "person_ids": list(sequence.person_ids),
    }


def _base64(array: Float[np.ndarray, "..."]) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode("ascii")


def pause_before_next(response: httpx.Response, attempt: int) -> float:
    """Seconds: what the service says, or else twice as long each time, with some chance in it."""
    told = response.headers.get("retry-after", "")
    if told.isascii() and told.isdecimal():
        return float(told)
    return _FIRST_PAUSE * 2.0**attempt * random.uniform(0.5, 1.0)


def answer_of(response: httpx.Response, answer: type[A]) -> A:
    """The value in a response.

    Raises:
        ServiceBusy: for 429 and 503.
        ServiceProblem: for any other status of 400 and more.
        ClientError: something answered that is no such service.
    """
    refuse_problem(response)
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ClientError(
            f"{response.url} answered with something else than a {answer.__name__} "
            f"({'.'.join(map(str, fault['loc']))}: {fault['msg']}); is this a c2vl-serve service?"
        ) from error


def refuse_problem(response: httpx.Response) -> None:
    """Pass what is no problem; for answers without a body this is all there is to read.

    Raises:
        ServiceBusy: for 429 and 503.
        ServiceProblem: for any other status of 400 and more.
    """
    if response.status_code >= 400:
        raise _problem(response)


def _problem(response: httpx.Response) -> ServiceProblem:
    kind = ServiceBusy if response.status_code in TRY_AGAIN else ServiceProblem
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy's own page, say.
        problem = Problem(detail=response.text[:200] or response.reason_phrase)
    return kind(
        response.status_code,
        problem.detail,
        errors=problem.errors,
        request_id=problem.request_id or response.headers.get("x-request-id"),
    )
