"""The gallery over HTTP: enrol an action by example, list, forget, carry elsewhere."""

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from c2vl_serve.errors import BundleError
from c2vl_serve.recognition.gallery import MAX_EXAMPLES, EnrolledAction, checked_name
from c2vl_serve.recognition.gallery_file import from_file, to_file
from c2vl_serve.service.bodies import JSON, read_upload
from c2vl_serve.service.embedding import EmbeddedUpload, embed_upload
from c2vl_serve.service.openapi import PREDICT_BODY, PROBLEMS
from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.problems import Problem
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.schemas import Frames, TimingMs
from c2vl_serve.service.state import ServiceState

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/gallery", tags=["gallery"])

GALLERY_PROBLEMS: dict[int | str, dict[str, Any]] = {
    **PROBLEMS,
    404: {**PROBLEMS[422], "description": "no such action is enrolled"},
    409: {**PROBLEMS[422], "description": "the name is a label's, no room, or another encoder"},
}


class Enrolled(BaseModel):
    """An enrolled action."""

    name: str
    num_examples: int = Field(ge=1, le=MAX_EXAMPLES)

    @classmethod
    def of(cls, action: EnrolledAction) -> "Enrolled":
        """From the gallery's own."""
        return cls(name=action.name, num_examples=len(action.examples))


class EnrolledList(BaseModel):
    """All enrolled actions, in the order of their enrolment."""

    bundle: str = Field(description="whose encoder the examples were embedded with")
    actions: list[Enrolled]


class Enrolment(Enrolled):
    """An example was taken in; it is on the disk."""

    bundle: str
    frames: Frames
    notes: list[str]
    timing_ms: TimingMs


@router.get("/actions", summary="All enrolled actions", responses=PROBLEMS)
async def actions(request: Request) -> EnrolledList:
    """With the number of examples of each."""
    return await asyncio.to_thread(_listed, _predictor(request))


@router.get("/actions/{name}", summary="One enrolled action", responses=GALLERY_PROBLEMS)
async def action(request: Request, name: str) -> Enrolled:
    """404 where it is not enrolled."""
    store = _predictor(request).gallery
    return Enrolled.of((await asyncio.to_thread(lambda: store.gallery)).action(name))


@router.post(
    "/actions/{name}",
    status_code=201,
    summary="Enrol an action by an example, or add one to it",
    responses=GALLERY_PROBLEMS,
    openapi_extra={"requestBody": PREDICT_BODY},
)
async def enrol(request: Request, name: str, query: Annotated[PredictQuery, Query()]) -> Enrolment:
    """One example a request, in any form that ``/predict`` takes; the clearest person counts."""
    predictor = _predictor(request)
    checked_name(name, predictor.recognizer.bundle.card.labels)
    upload = await read_upload(request)
    done = await embed_upload(request.app.state.service, upload, query, request)
    enrolled = await asyncio.to_thread(predictor.gallery.add, name, done.embedding.example()[None])
    logger.info("enrolled an example; the action has %d now", len(enrolled.examples))
    return Enrolment(
        **Enrolled.of(enrolled).model_dump(),
        bundle=predictor.gallery.origin.bundle,
        frames=done.decoded.frames,
        notes=[*done.notes, *_others(done)],
        timing_ms=done.decoded.spent(done.embedding.timing_ms),
    )


@router.delete(
    "/actions/{name}",
    status_code=204,
    summary="Forget an enrolled action",
    responses=GALLERY_PROBLEMS,
)
async def forget(request: Request, name: str) -> None:
    """With all its examples."""
    await asyncio.to_thread(_predictor(request).gallery.remove, name)


@router.get("/export", summary="The gallery as a file", responses=PROBLEMS)
async def export(request: Request) -> Response:
    """JSON with the embeddings and the encoder they belong to; for ``/gallery/import``."""
    store = _predictor(request).gallery
    content = await asyncio.to_thread(lambda: to_file(store.gallery, store.origin))
    headers = {"Content-Disposition": 'attachment; filename="gallery.json"'}
    return Response(content, media_type=JSON, headers=headers)


@router.post(
    "/import",
    summary="Take in an exported gallery",
    responses=GALLERY_PROBLEMS,
    openapi_extra={
        "requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}}}}
    },
)
async def import_(request: Request) -> EnrolledList:
    """All of its actions or none; those enrolled already get its examples besides."""
    predictor = _predictor(request)
    data = await request.body()
    await asyncio.to_thread(_take_in, predictor, data)
    return await asyncio.to_thread(_listed, predictor)


def _predictor(request: Request) -> Predictor:
    state: ServiceState = request.app.state.service
    return state.ready()


def _listed(predictor: Predictor) -> EnrolledList:
    found = predictor.gallery.gallery.actions.values()
    return EnrolledList(
        bundle=predictor.gallery.origin.bundle, actions=[Enrolled.of(each) for each in found]
    )


def _take_in(predictor: Predictor, data: bytes) -> None:
    store, width = predictor.gallery, predictor.recognizer.num_features
    try:
        examples = from_file(data, store.origin, width)
    except BundleError as error:  # the file's encoder is another; the service's own is sound
        raise Problem(409, str(error)) from error
    store.add_all(examples)


def _others(done: EmbeddedUpload) -> list[str]:
    num_others = len(done.embedding.persons) - 1
    if num_others == 0:
        return []
    return [f"the clearest person was enrolled; {num_others} more in the example were not"]
