"""``POST /embed``: the inputs of ``/predict``, answered with the representation of each person."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from c2vl_serve.service.bodies import read_upload
from c2vl_serve.service.embedding import embed_upload
from c2vl_serve.service.openapi import PREDICT_BODY, PROBLEMS
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.schemas import Frames, TimingMs
from c2vl_serve.service.state import ServiceState

router = APIRouter()


class EmbeddedPerson(BaseModel):
    """What one person did over the whole sequence, as a direction."""

    id: int
    embedding: list[float] = Field(description="of length 1; the mean over the windows")


class Embeddings(BaseModel):
    """Embeddings may be compared by their cosine, with others of the same network only."""

    bundle: str = Field(description="name@version", examples=["everyday@1.0.0"])
    model: str = Field(description="SHA-256 of the network that made them")
    runtime: str = Field(examples=["onnxruntime/CPUExecutionProvider"])
    dims: int = Field(description="numbers in one embedding")
    persons: list[EmbeddedPerson] = Field(description="clearest first; none where nobody is seen")
    frames: Frames
    notes: list[str]
    timing_ms: TimingMs


@router.post(
    "/embed",
    tags=["embed"],
    summary="A skeleton or a video, answered with a vector for each person",
    responses=PROBLEMS,
    openapi_extra={"requestBody": PREDICT_BODY},
)
async def embed(request: Request, query: Annotated[PredictQuery, Query()]) -> Embeddings:
    """Bodies and query as for ``/predict``; of the query, only how to read them and ``persons``."""
    state: ServiceState = request.app.state.service
    predictor = state.ready()
    done = await embed_upload(state, await read_upload(request), query, request)
    recognizer = predictor.recognizer
    return Embeddings(
        **predictor.gallery.origin.to_dict(),
        runtime=recognizer.runtime.name,
        dims=recognizer.num_features,
        persons=[
            EmbeddedPerson(id=person.id, embedding=person.vector.tolist())
            for person in done.embedding.persons
        ],
        frames=done.decoded.frames,
        notes=done.notes,
        timing_ms=done.decoded.spent(done.embedding.timing_ms),
    )
