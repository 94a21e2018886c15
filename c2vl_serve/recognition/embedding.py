"""Embeddings of persons: where the network places what somebody does, for search and galleries."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from c2vl_serve.errors import GalleryError
from c2vl_serve.gallery_space import unit
from c2vl_serve.recognition.preparation import Prepared
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.skeleton.sampling import MIN_SEEN_FRAMES


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PersonEmbedding:
    """What one person did over the whole sequence, as a direction.

    Attributes:
        id: of the person.
        vector: the mean of the windows' representations, of unit length.
        is_seen: in enough frames to tell an action.
    """

    id: int
    vector: Float32[np.ndarray, " D"]
    is_seen: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Embedding:
    """The embeddings of a sequence's persons, clearest first.

    Attributes:
        persons: none where nobody was seen.
        notes: sentences for whoever reads the answer.
        timing_ms: milliseconds spent in ``preprocess`` and ``inference``.
    """

    persons: tuple[PersonEmbedding, ...]
    notes: tuple[str, ...]
    timing_ms: dict[str, float]

    def example(self) -> Float32[np.ndarray, " D"]:
        """The clearest person's vector, to learn an action from.

        Raises:
            GalleryError: when nobody is seen clearly or long enough.
        """
        if not self.persons or not self.persons[0].is_seen:
            raise GalleryError(
                "the example shows nobody clearly or long enough to learn from; expected a person "
                f"in {MIN_SEEN_FRAMES} frames or more: send another example"
            )
        return self.persons[0].vector


def embedded(prepared: Prepared, outputs: Outputs, inference_ms: float) -> Embedding:
    """Embeddings from the network's outputs.

    Args:
        prepared: the windows of all persons.
        outputs: of its inputs, row by row.
        inference_ms: milliseconds that the network took, for the answer to tell.
    """
    persons = tuple(
        PersonEmbedding(
            id=person.id,
            vector=unit(outputs.representation[person.rows_of(person.whole)].mean(axis=0)),
            is_seen=float(person.whole.seen_frames.max()) >= MIN_SEEN_FRAMES,
        )
        for person in prepared.persons
    )
    return Embedding(
        persons=persons,
        notes=prepared.notes,
        timing_ms={"preprocess": prepared.milliseconds, "inference": inference_ms},
    )
