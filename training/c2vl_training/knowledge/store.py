"""Embeddings of a set's samples in one safetensors file: what pre-training reads of knowledge."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from c2vl_serve.errors import C2VLError
from c2vl_training.described_file import FileKind

KNOWLEDGE = FileKind(
    noun="knowledge",
    format="c2vl-knowledge-1",
    next_step="make it with `c2vl-train knowledge embed`",
    error=C2VLError,
)
UNIT_TOLERANCE = 1e-3  # of a norm


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KnowledgeEmbeddings:
    """Up to S embeddings of each sample; zeros after the last.

    Attributes:
        sample_ids: in the order of the rows; keys, never text to learn from.
        embeddings: ``N S D`` float32, unit norm.
        counts: how many each sample has, at least 1.
        made_with: source, settings and tower.

    Raises:
        C2VLError: when the parts do not fit each other.
    """

    sample_ids: tuple[str, ...]
    embeddings: Float32[np.ndarray, "N S D"]
    counts: Int64[np.ndarray, " N"]
    made_with: dict[str, Any]

    def __post_init__(self) -> None:
        """Check what `pretrain` relies on."""
        N, S, _ = self.embeddings.shape
        if len(set(self.sample_ids)) != N or len(self.counts) != N:
            raise C2VLError(
                f"knowledge has {N} rows for {len(set(self.sample_ids))} distinct samples and "
                f"{len(self.counts)} counts; make it again"
            )
        if N and not (self.counts.min() >= 1 and self.counts.max() <= S):
            raise C2VLError(f"knowledge has counts outside 1..{S}; make it again")
        norms = np.linalg.norm(self.embeddings, axis=-1)
        if (np.abs(norms - self.given) > UNIT_TOLERANCE).any():
            raise C2VLError("knowledge has embeddings that are not of unit norm; make it again")

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.sample_ids)

    @property
    def given(self) -> Bool[np.ndarray, "N S"]:
        """True where there is an embedding, False for padding."""
        return np.arange(self.embeddings.shape[1]) < self.counts[:, None]

    def of(self, sample_ids: tuple[str, ...]) -> "KnowledgeEmbeddings":
        """The rows of these samples, in this order, as a pool's clips need them.

        Raises:
            C2VLError: naming samples that there is nothing of.
        """
        row = {sample: index for index, sample in enumerate(self.sample_ids)}
        missing = [sample for sample in sample_ids if sample not in row]
        if missing:
            raise C2VLError(
                f"knowledge lacks {len(missing)} of {len(sample_ids)} samples, such as "
                f"{missing[0]!r}; describe and embed them, or leave them out"
            )
        rows = np.array([row[sample] for sample in sample_ids], np.int64)
        return KnowledgeEmbeddings(
            sample_ids=sample_ids,
            embeddings=self.embeddings[rows],
            counts=self.counts[rows],
            made_with=self.made_with,
        )


def joined(parts: list[KnowledgeEmbeddings]) -> KnowledgeEmbeddings:
    """The rows of several sets under each other, padded alike.

    Raises:
        C2VLError: when their embeddings are of different widths.
    """
    widths = {part.embeddings.shape[2] for part in parts}
    if len(widths) != 1:
        raise C2VLError(
            f"knowledge files have embeddings of widths {sorted(widths)}; expected one; embed "
            "all sets with the same tower"
        )
    longest = max(part.embeddings.shape[1] for part in parts)
    padded = [
        np.pad(part.embeddings, ((0, 0), (0, longest - part.embeddings.shape[1]), (0, 0)))
        for part in parts
    ]
    return KnowledgeEmbeddings(
        sample_ids=tuple(sample for part in parts for sample in part.sample_ids),
        embeddings=np.concatenate(padded),
        counts=np.concatenate([part.counts for part in parts]),
        made_with={"joined": [part.made_with for part in parts]},
    )


def write_knowledge(path: Path, knowledge: KnowledgeEmbeddings) -> None:
    """Write beside and rename."""
    described = {"sample_ids": list(knowledge.sample_ids), "made_with": knowledge.made_with}
    tensors = {
        "embeddings": torch.from_numpy(knowledge.embeddings),
        "counts": torch.from_numpy(knowledge.counts),
    }
    KNOWLEDGE.write(path, tensors, described)


def read_knowledge(path: Path) -> KnowledgeEmbeddings:
    """Read the embeddings of a set.

    Raises:
        C2VLError: when the file is missing, of another format, or contradicts itself.
    """
    tensors, described = KNOWLEDGE.read(path)
    return KnowledgeEmbeddings(
        sample_ids=tuple(described["sample_ids"]),
        embeddings=tensors["embeddings"].numpy(),
        counts=tensors["counts"].numpy(),
        made_with=described["made_with"],
    )
