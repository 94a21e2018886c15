"""The routes of the main job: health, the bundle's card, and predict."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from c2vl_serve.service import dispatch
from c2vl_serve.service.access import ABOUT
from c2vl_serve.service.bodies import read_upload
from c2vl_serve.service.openapi import PREDICT_BODY, PROBLEMS
from c2vl_serve.service.predictor import spelled
from c2vl_serve.service.problems import busy
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.query_route import QueryRoute
from c2vl_serve.service.schemas import BundleAnswer, Health, Prediction, ProblemDetails
from c2vl_serve.service.state import ServiceState

router = APIRouter()
hot = APIRouter(route_class=QueryRoute)  # to be tried before all others


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
    """503 with the reason until then, and once told to stop; the pose model is not asked for."""
    state = _state(request)
    state.ready()
    if state.is_draining:
        raise busy("not ready: the service is stopping", 1.0)
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


@hot.post(
    "/predict",
    tags=["predict"],
    summary="A skeleton or a video, answered with actions",
    response_model=Prediction,
    responses=PROBLEMS,
    openapi_extra={"requestBody": PREDICT_BODY},
)
async def predict(request: Request, query: Annotated[PredictQuery, Query()]) -> Response:
    """Send a skeleton as JSON or ``.npy``, or any skeleton file or video as a form's ``file``."""
    state = _state(request)
    state.ready()
    upload = await read_upload(request)
    answer = await dispatch.predict(state, upload, query, request)
    for tell in request.app.state.observers:
        tell(answer["timing_ms"])
    request.scope["state"][ABOUT] |= {
        "input": upload.file_type or "video",
        "frames": answer["frames"].read,
        "persons": len(answer["persons"]),
    }
    return Response(spelled(answer), media_type="application/json")
