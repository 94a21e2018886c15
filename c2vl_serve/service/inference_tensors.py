"""Tensors of the Open Inference Protocol: a request's body in, an answer's body out.

Both are JSON, or JSON followed by raw little-endian bytes (the binary extension), where the
header ``Inference-Header-Content-Length`` says how long the JSON is.

Source: the protocol's REST specification (kserve/open-inference-protocol) and Triton's
``binary_tensor_data`` extension.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from jaxtyping import Float32, Shaped

from c2vl_serve.service.problems import Problem
from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.formats import FieldError
from c2vl_serve.skeleton.formats.nested import describe, nested_array

LENGTH_HEADER = "inference-header-content-length"
DATATYPE = "FP32"
MAX_WINDOWS = 64  # of one request; more are refused, as one request would hold a lane for long


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """A tensor of the network: its name and the shape of one window."""

    name: str
    window: tuple[int, ...]

    def described(self) -> dict[str, Any]:
        """As model metadata says it; -1 is any number of windows."""
        return {"name": self.name, "datatype": DATATYPE, "shape": [-1, *self.window]}


@dataclass(frozen=True, kw_only=True, slots=True)
class InferenceRequest:
    """What was asked.

    Attributes:
        id: the client's, given back.
        inputs: ``N C T V M``, finite.
        outputs: names of the outputs that are wanted, each with whether as raw bytes.
    """

    id: str | None
    inputs: ModelInput
    outputs: dict[str, bool]


def read_request(
    body: bytes, json_length: str | None, spec: TensorSpec, outputs: tuple[str, ...]
) -> InferenceRequest:
    """A request's body, checked.

    Args:
        body: the whole body.
        json_length: the value of ``Inference-Header-Content-Length``, if it was sent.
        spec: the one input that is taken.
        outputs: names of the outputs that there are.

    Raises:
        Problem: 400 for what is not JSON, or a length that is none.
        FieldError: with a pointer to what is wrong in it.
    """
    head, tail = _split(body, json_length)
    request = _parsed(head)
    entry = _only_input(request.get("inputs"), spec)
    shape = _shape(entry.get("shape"), spec)
    inputs = _values(entry, tail, shape)
    if not np.isfinite(inputs).all():
        raise FieldError("/inputs/0/data", "the tensor holds NaN or infinite values")
    identity = request.get("id")
    if not isinstance(identity, str | None):
        raise FieldError("/id", f"id is {describe(identity)}; expected text")
    return InferenceRequest(id=identity, inputs=inputs, outputs=_wanted(request, outputs))


def write_answer(
    request: InferenceRequest, results: dict[str, Float32[np.ndarray, "N _"]], **told: Any
) -> tuple[bytes, dict[str, str]]:
    """An answer's body, and the headers it needs.

    Args:
        request: what was asked.
        results: each output of the network.
        told: further members of the answer: ``model_name``, ``model_version``.

    Raises:
        FieldError: an output is not finite, which JSON cannot say.
    """
    entries: list[dict[str, Any]] = []
    tail = b""
    for name, is_binary in request.outputs.items():
        array = results[name]
        if not np.isfinite(array).all():
            raise FieldError("/inputs/0/data", f"{name} is not finite; the input is too large")
        entry: dict[str, Any] = {"name": name, "datatype": DATATYPE, "shape": list(array.shape)}
        if is_binary:
            raw = array.astype("<f4").tobytes()
            entry["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        else:
            entry["data"] = array.ravel().tolist()
        entries.append(entry)
    identity = {} if request.id is None else {"id": request.id}
    head = orjson.dumps({**told, **identity, "outputs": entries})
    if any(request.outputs.values()):
        headers = {LENGTH_HEADER: str(len(head)), "content-type": "application/octet-stream"}
        return head + tail, headers
    return head, {"content-type": "application/json"}


def _split(body: bytes, json_length: str | None) -> tuple[bytes, bytes]:
    if json_length is None:
        return body, b""
    fits = json_length.isascii() and json_length.isdecimal() and len(json_length) < 20
    if not fits or int(json_length) > len(body):
        raise Problem(
            400,
            f"Inference-Header-Content-Length is {json_length[:20]!r}; expected the JSON's "
            f"length, at most the body's {len(body)} bytes",
        )
    return body[: int(json_length)], body[int(json_length) :]


def _parsed(head: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        raise Problem(
            400,
            f"the body is not JSON: {error}; raw tensors behind JSON need the header "
            "Inference-Header-Content-Length",
        ) from error
    if not isinstance(request, dict):
        raise FieldError("", f"the body is {describe(request)}; expected an object with inputs")
    return request


def _only_input(entries: object, spec: TensorSpec) -> dict[str, Any]:
    if not (isinstance(entries, list) and len(entries) == 1 and isinstance(entries[0], dict)):
        raise FieldError(
            "/inputs", f"inputs is {describe(entries)}; expected one tensor, {spec.name!r}"
        )
    (entry,) = entries
    for key, expected in (("name", spec.name), ("datatype", DATATYPE)):
        if entry.get(key) != expected:
            got = describe(entry.get(key))
            raise FieldError(f"/inputs/0/{key}", f"{key} is {got}; expected {expected!r}")
    return entry


def _shape(value: object, spec: TensorSpec) -> tuple[int, ...]:
    fits = isinstance(value, list) and all(type(n) is int for n in value)
    if not (fits and isinstance(value, list) and tuple(value[1:]) == spec.window):
        expected = ", ".join(map(str, spec.window))
        raise FieldError(
            "/inputs/0/shape", f"shape is {str(value)[:60]}; expected [N, {expected}] (N C T V M)"
        )
    if not 1 <= value[0] <= MAX_WINDOWS:
        raise FieldError(
            "/inputs/0/shape", f"{value[0]} windows; expected 1 to {MAX_WINDOWS} in a request"
        )
    return tuple(value)


def _values(entry: dict[str, Any], tail: bytes, shape: tuple[int, ...]) -> ModelInput:
    """The tensor's numbers, from raw bytes or from a flat or nested list."""
    count = math.prod(shape)
    size = _parameters(entry, "/inputs/0").get("binary_data_size")
    if size is not None:
        if size != 4 * count or size != len(tail) or "data" in entry:
            raise FieldError(
                "/inputs/0/parameters/binary_data_size",
                f"binary_data_size is {str(size)[:20]} and {len(tail)} bytes follow the JSON; "
                f"expected {4 * count} for this shape, and no data",
            )
        return np.frombuffer(tail, "<f4").astype(np.float32, copy=False).reshape(shape)
    if tail:
        raise FieldError(
            "/inputs/0/parameters",
            f"{len(tail)} bytes follow the JSON but no binary_data_size claims them",
        )
    flat: Shaped[np.ndarray, ...] = nested_array(
        entry.get("data"), pointer="/inputs/0/data", depths=(1, len(shape)), expected="numbers"
    )
    if flat.size != count or flat.ndim > 1 and flat.shape != shape:
        raise FieldError(
            "/inputs/0/data", f"data holds {flat.size} numbers; this shape needs {count}"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold is found to be infinite
        return flat.astype(np.float32).reshape(shape)


def _parameters(entry: dict[str, Any], pointer: str) -> dict[str, Any]:
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        got = describe(parameters)
        raise FieldError(f"{pointer}/parameters", f"parameters is {got}; expected an object")
    return parameters


def _wanted(request: dict[str, Any], known: tuple[str, ...]) -> dict[str, bool]:
    """The outputs asked for; all of them where none is named."""
    as_bytes = _parameters(request, "").get("binary_data_output", False) is True
    entries = request.get("outputs", [])
    if not isinstance(entries, list):
        raise FieldError("/outputs", f"outputs is {describe(entries)}; expected a list")
    wanted: dict[str, bool] = {}
    for index, entry in enumerate(entries[: len(known) + 1]):
        name = entry.get("name") if isinstance(entry, dict) else entry
        if not isinstance(name, str) or name not in known or name in wanted:
            raise FieldError(
                f"/outputs/{index}",
                f"output {describe(name)} cannot be given; known are {', '.join(known)}, each once",
            )
        parameters = _parameters(entry, f"/outputs/{index}")
        wanted[name] = parameters.get("binary_data", as_bytes) is True
    return wanted or dict.fromkeys(known, as_bytes)
