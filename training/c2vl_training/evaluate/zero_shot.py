"""Text zero-shot of a pretrained encoder: class texts and skeletons meet in the shared space."""

import numpy as np
import torch
from jaxtyping import Float32

from c2vl_serve.errors import C2VLError
from c2vl_training.evaluate.frozen import zero_shot
from c2vl_training.evaluate.protocols import Protocol
from c2vl_training.knowledge.class_texts import ClassTexts
from c2vl_training.knowledge.towers import TextTower, load_sentence_encoder
from c2vl_training.model.projector import ConceptHeads, Projector
from c2vl_training.pretrain import Pretrained
from c2vl_training.pretrained import PretrainedFile


def zero_shot_of(
    made: Pretrained | PretrainedFile,
    protocol: Protocol,
    texts: ClassTexts,
    tower: TextTower | None = None,
) -> float:
    """Top-1 in percent of the class whose sentences lie nearest.

    Args:
        made: encoder, projector and heads.
        protocol: the clips; its labels are the classes.
        texts: about all of them.
        tower: that embedded the knowledge; the packaged sentence encoder without.

    Raises:
        C2VLError: when the encoder has no language head.
    """
    if made.heads is None or made.projector is None or "language" not in made.heads.sources:
        raise C2VLError(
            "the encoder has no language head, so texts have no place in its space; expected one "
            "that was pretrained with `--knowledge`; pretrain c2vl, or use knn"
        )
    names, tower = protocol.pool.label_names, tower or load_sentence_encoder()
    embeddings = np.stack([tower.encode(list(texts.of(name))).mean(axis=0) for name in names])
    split = protocol.split(made.encoder)
    return zero_shot(
        _projected(made.projector, split.test),
        split.test_labels,
        _language(made.heads, embeddings),
    )


@torch.no_grad()
def _projected(
    projector: Projector, representations: Float32[np.ndarray, "N D"]
) -> Float32[np.ndarray, "N P"]:
    return projector(torch.from_numpy(representations)).numpy()


@torch.no_grad()
def _language(
    heads: ConceptHeads, embeddings: Float32[np.ndarray, "K E"]
) -> Float32[np.ndarray, "K P"]:
    """Class texts after the language head; other sources have nothing to say about a class."""
    others = {name: torch.zeros(len(embeddings), width) for name, width in heads.widths.items()}
    return heads({**others, "language": torch.from_numpy(embeddings)})["language"].numpy()
