"""The routes of the main job: health, the bundle's card, and predict."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from c2vl_serve.service.bodies import Upload, read_upload
from c2vl_serve.service.lanes import Lane
from c2vl_serve.service.openapi import PREDICT_BODY, PROBLEMS
from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.problems import RETRY_UNAVAILABLE, busy
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.schemas import BundleAnswer, Health, Prediction, ProblemDetails

logger = logging.getLogger(__name__)
router = APIRouter()


@dataclass(kw_only=True, slots=True)
class ServiceState:
    """What the routes share; ``predictor`` is None while, and because of, ``reason``."""

    skeletons: Lane
    videos: Lane
    predictor: Predictor | None = None
    reason: str = "the bundle is being loaded"

    def ready(self) -> Predictor:
        """The predictor.

        Raises:
            Problem: 503 with the reason why there is none.
        """
        if self.predictor is None:
            raise busy(f"not ready: {self.reason}", RETRY_UNAVAILABLE)
        return self.predictor


def _state(request: Request) -> ServiceState:
    return request.app.state.service


@router.get("/health/live", tags=["health"], summary="200 while the process runs")
async def live() -> Health:
    """Answers without touching anything."""
    return Health(status="live")


@router.get(
    "/health/ready",
    tags=["health"],
    summary="200 once the bundle's golden sample was reproduced",
    responses={503: {"model": ProblemDetails, "description": "not ready, with the reason"}},
)
async def ready(request: Request) -> Health:
    """503 with the reason until then; it does not ask for the pose model."""
    _state(request).ready()
    return Health(status="ready")


@router.get("/bundle", tags=["bundle"], response_model=BundleAnswer, responses=PROBLEMS)
async def bundle(request: Request) -> Response:
    """The card of the bundle that is served: labels, layout, accuracy, licence notes."""
    recognizer = _state(request).ready().recognizer
    card: dict[str, Any] = {
        **recognizer.bundle.card.to_dict(),
        "runtime": recognizer.runtime.name,
        "providers": [recognizer.runtime.name.rpartition("/")[2]],
    }
    return Response(orjson.dumps(card), media_type="application/json")


@router.post(
    "/predict",
    tags=["predict"],
    summary="A skeleton or a video, answered with actions",
    response_model_exclude_none=True,
    responses=PROBLEMS,
    openapi_extra={"requestBody": PREDICT_BODY},
)
async def predict(request: Request, query: Annotated[PredictQuery, Query()]) -> Prediction:
    """Send a skeleton as JSON or ``.npy``, or any skeleton file or video as a form's ``file``."""
    state = _state(request)
    predictor = state.ready()
    upload = await read_upload(request)
    begun = asyncio.get_running_loop().time()
    prediction = await _run(state, predictor, upload, query, request)
    total = 1000 * (asyncio.get_running_loop().time() - begun)
    prediction.timing_ms.total = round(total, 3)
    spent = prediction.timing_ms.model_dump()
    for tell in request.app.state.observers:
        tell(spent)
    logger.info(
        "predicted input=%s frames=%d persons=%d ms=%.1f",
        upload.file_type or "video",
        prediction.frames.read,
        len(prediction.persons),
        total,
    )
    return prediction


async def _run(
    state: ServiceState,
    predictor: Predictor,
    upload: Upload,
    query: PredictQuery,
    request: Request,
) -> Prediction:
    deadline = request.state.deadline
    if upload.file_type is None:
        return await state.videos.run(
            lambda abandoned: predictor.video(upload.data, query, abandoned),
            receive=request.receive,
            deadline=deadline,
        )
    return await state.skeletons.run(
        lambda abandoned: predictor.skeleton(upload, query),
        receive=request.receive,
        deadline=deadline,
    )
