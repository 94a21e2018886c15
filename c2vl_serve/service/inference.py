"""The Open Inference Protocol under ``/v2``: the network alone, for clients of Triton and KServe.

What goes in is the preprocessed tensor ``N C T V M`` and what comes out are logits, not
actions; the card at ``/bundle`` says how the one is made and what the other means.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import orjson
from fastapi import APIRouter, Request, Response

from c2vl_serve.errors import SequenceError
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.service.bodies import check_encoding
from c2vl_serve.service.inference_tensors import (
    LENGTH_HEADER,
    InferenceRequest,
    TensorSpec,
    read_request,
    write_answer,
)
from c2vl_serve.service.openapi import INFER_BODY, PROBLEMS
from c2vl_serve.service.peers import has_left
from c2vl_serve.service.predictor import check_containers
from c2vl_serve.service.problems import Problem, of_error
from c2vl_serve.service.schemas import (
    InferenceAnswer,
    ModelMetadata,
    ServerMetadata,
)
from c2vl_serve.service.state import ServiceState

INPUT, OUTPUTS = "x", ("logits", "representation")
_MODEL, _VERSION = "/models/{model}", "/models/{model}/versions/{model_version}"

router = APIRouter(prefix="/v2", tags=["open inference protocol"], responses=PROBLEMS)


@contextmanager
def _told_twice() -> Iterator[None]:
    """Problems with their detail as ``error`` as well, which is where this protocol has it."""
    try:
        yield
    except SequenceError as error:
        raise _ProtocolProblem.of(of_error(error)) from error
    except Problem as problem:
        raise _ProtocolProblem.of(problem) from problem


class _ProtocolProblem(Problem):
    """A problem that clients of the protocol understand."""

    @classmethod
    def of(cls, problem: Problem) -> "_ProtocolProblem":
        return cls(problem.status, problem.detail, errors=problem.errors, headers=problem.headers)

    def response(self) -> Response:
        plain = super().response()
        content = {**orjson.loads(bytes(plain.body)), "error": self.detail}
        return Response(orjson.dumps(content), self.status, self.headers, plain.media_type)


@router.get("/health/live", summary="200 while the process runs", response_class=Response)
async def live() -> Response:
    """Answers without touching anything."""
    return Response()


@router.get("/health/ready", summary="200 while predictions are made", response_class=Response)
async def ready(request: Request) -> Response:
    """As ``/health/ready``."""
    with _told_twice():
        _state(request).ready()
    return Response()


@router.get("", summary="What this server is")
async def server() -> ServerMetadata:
    """Name, version and extensions."""
    return ServerMetadata(
        name="c2vl-serve", version=version("c2vl-serve"), extensions=["binary_tensor_data"]
    )


@router.get(_MODEL, summary="Names and shapes of the network's tensors")
@router.get(_VERSION, include_in_schema=False)
async def metadata(request: Request, model: str, model_version: str | None = None) -> ModelMetadata:
    """There is one model: it has the bundle's name and version."""
    with _told_twice():
        recognizer = _recognizer(request, model, model_version)
    card = recognizer.bundle.card
    # How wide a representation is, a card does not say.
    outputs = [
        TensorSpec(name=name, window=(width,))
        for name, width in zip(OUTPUTS, (len(card.labels), -1), strict=True)
    ]
    return ModelMetadata(
        name=card.name,
        versions=[card.version],
        platform=recognizer.runtime.name,
        inputs=[_input_of(recognizer).described()],
        outputs=[output.described() for output in outputs],
    )


@router.get(f"{_MODEL}/ready", summary="200 while the model answers", response_class=Response)
@router.get(f"{_VERSION}/ready", include_in_schema=False)
async def model_ready(request: Request, model: str, model_version: str | None = None) -> Response:
    """404 for a model that is not served here."""
    with _told_twice():
        _recognizer(request, model, model_version)
    return Response()


@router.post(
    f"{_MODEL}/infer",
    summary="Windows in, logits and representations out",
    response_model=InferenceAnswer,
    openapi_extra={"requestBody": INFER_BODY},
)
@router.post(f"{_VERSION}/infer", include_in_schema=False)
async def infer(request: Request, model: str, model_version: str | None = None) -> Response:
    """JSON, or JSON and raw tensors behind it; the answer comes as it was asked for."""
    with _told_twice():
        recognizer = _recognizer(request, model, model_version)
        check_encoding(request)
        body = await request.body()
        asked = await _state(request).skeletons.run(
            lambda _: _read(body, request.headers.get(LENGTH_HEADER), recognizer),
            receive=request.receive,
            deadline=request.state.deadline,
        )
        outputs, _ = (
            await _state(request)
            .queue()
            .run(
                asked.inputs,
                receive=request.receive,
                deadline=request.state.deadline,
                has_left=has_left(request.scope),
            )
        )
        answer, headers = _answer(asked, outputs, recognizer)
    return Response(answer, headers=headers)


def _read(body: bytes, json_length: str | None, recognizer: ActionRecognizer) -> InferenceRequest:
    check_containers(body)
    return read_request(body, json_length, _input_of(recognizer), OUTPUTS)


def _answer(
    asked: InferenceRequest, outputs: Outputs, recognizer: ActionRecognizer
) -> tuple[bytes, dict[str, str]]:
    card = recognizer.bundle.card
    results = {name: getattr(outputs, name) for name in OUTPUTS}
    return write_answer(asked, results, model_name=card.name, model_version=card.version)


def _state(request: Request) -> ServiceState:
    return request.app.state.service


def _recognizer(request: Request, model: str, model_version: str | None) -> ActionRecognizer:
    """The recogniser behind a model's name and version.

    Raises:
        Problem: 503 while there is none, 404 for any other model.
    """
    recognizer = _state(request).ready().recognizer
    card = recognizer.bundle.card
    if model != card.name or model_version not in (None, card.version):
        raise Problem(
            404,
            f"model {model[:60]!r} {(model_version or '')[:20]} is not served here; "
            f"{card.name!r} version {card.version} is",
        )
    return recognizer


def _input_of(recognizer: ActionRecognizer) -> TensorSpec:
    config = recognizer.bundle.card.preprocessing
    window = (config.num_channels, config.num_frames, config.num_joints, 1)
    return TensorSpec(name=INPUT, window=window)
