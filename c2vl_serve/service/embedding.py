"""From an upload to embeddings, through the queues that ``/predict`` uses."""

from dataclasses import dataclass

from starlette.requests import Request

from c2vl_serve.recognition.embedding import Embedding, embedded
from c2vl_serve.service import dispatch
from c2vl_serve.service.bodies import Upload
from c2vl_serve.service.predictor import Decoded
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.state import ServiceState


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
    asked = await dispatch.ask(state, upload, query, request)
    outputs, milliseconds = await dispatch.run(state, asked, request)
    return EmbeddedUpload(
        decoded=asked.decoded, embedding=embedded(asked.prepared, outputs, milliseconds)
    )
