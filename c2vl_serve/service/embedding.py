"""From an upload to embeddings, through the queues that ``/predict`` uses."""

import threading
from dataclasses import dataclass

from starlette.requests import Request

from c2vl_serve.recognition.embedding import Embedding
from c2vl_serve.service.bodies import Upload
from c2vl_serve.service.predictor import Decoded, Predictor
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.routes import ServiceState


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EmbeddedUpload:
    """An upload's persons as directions, and what the answer has to tell about the upload."""

    decoded: Decoded
    embedding: Embedding

    @property
    def notes(self) -> list[str]:
        """Sentences for the answer."""
        return [*self.decoded.notes, *self.embedding.notes]


async def embed_upload(
    state: ServiceState, upload: Upload, query: PredictQuery, request: Request
) -> EmbeddedUpload:
    """The embeddings of the people in an upload.

    Raises:
        Problem: not ready, too busy, too late, or the body cannot be read.
        SequenceError: the input cannot be used.
    """
    predictor = state.ready()
    lane = state.videos if upload.file_type is None else state.skeletons
    return await lane.run(
        lambda abandoned: _embedded(predictor, upload, query, abandoned),
        receive=request.receive,
        deadline=request.state.deadline,
    )


def _embedded(
    predictor: Predictor, upload: Upload, query: PredictQuery, abandoned: threading.Event
) -> EmbeddedUpload:
    decoded = (
        predictor.watch(upload.data, query, abandoned)
        if upload.file_type is None
        else predictor.decode(upload, query)
    )
    return EmbeddedUpload(decoded=decoded, embedding=predictor.embed(decoded, query))
