"""Embed: sentences or frames of all samples through a frozen tower; killed, it goes on.

Finished parts of :data:`PART` samples lie in a folder beside the result until all are there.
Sample ids are keys of rows and never reach a tower: some hold the class.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from c2vl_serve.errors import C2VLError
from c2vl_training.knowledge.kinematic import MAX_SENTENCES
from c2vl_training.knowledge.sentences import Descriptions
from c2vl_training.knowledge.store import (
    KnowledgeEmbeddings,
    read_knowledge,
    write_knowledge,
)
from c2vl_training.knowledge.towers import ClipTowers, TextTower
from c2vl_training.knowledge.videos import clip_frames, find_clip

PART = 64  # samples that may be lost when the process dies

Rows = list[Float32[np.ndarray, "_ D"]]


def embed_sentences(
    descriptions: Descriptions,
    tower: TextTower,
    path: Path,
    on_done: Callable[[int], None] = lambda _: None,
) -> KnowledgeEmbeddings:
    """Embed up to 16 sentences of each sample.

    Args:
        descriptions: as `describe` left them.
        tower: text to embedding.
        path: the safetensors file; an interrupted run goes on when called again.
        on_done: told how many samples are done.

    Raises:
        C2VLError: when there is nothing to embed.
    """
    said = {d.sample_id: list(d.sentences[:MAX_SENTENCES]) for d in descriptions.samples}

    known: dict[str, Float32[np.ndarray, " D"]] = {}  # many samples share sentences

    def rows_of(ids: tuple[str, ...]) -> Rows:
        texts = [said[sample] for sample in ids]
        new = sorted({s for text in texts for s in text} - set(known), key=lambda s: (len(s), s))
        if new:  # those of one length together, for less padding
            known.update(zip(new, tower.encode(new), strict=True))
        return [np.stack([known[sentence] for sentence in text]) for text in texts]

    words = hashlib.sha256(json.dumps(list(said.values())).encode()).hexdigest()
    made_with = {**descriptions.made_with, "tower": tower.name, "sentences_sha256": words}
    return _embed(tuple(said), rows_of, made_with, path, on_done)


def embed_frames(
    sample_ids: tuple[str, ...],
    videos: Path,
    towers: ClipTowers,
    path: Path,
    on_done: Callable[[int], None] = lambda _: None,
) -> KnowledgeEmbeddings:
    """Embed up to 16 frames of each sample's video.

    Args:
        sample_ids: whose videos are looked for below ``videos``.
        videos: folder of the clips.
        towers: whose image tower is used.
        path: the safetensors file; an interrupted run goes on when called again.
        on_done: told how many samples are done.

    Raises:
        SequenceError: when a video is missing or does not decode.
    """

    def rows_of(ids: tuple[str, ...]) -> Rows:
        return [
            towers.encode_frames(clip_frames(find_clip(videos, sample), MAX_SENTENCES))
            for sample in ids
        ]

    made_with = {"source": "frames", "tower": towers.name, "num_frames": MAX_SENTENCES}
    return _embed(sample_ids, rows_of, made_with, path, on_done)


def _embed(
    ids: tuple[str, ...],
    rows_of: Callable[[tuple[str, ...]], Rows],
    made_with: dict[str, Any],
    path: Path,
    on_done: Callable[[int], None],
) -> KnowledgeEmbeddings:
    if not ids:
        raise C2VLError("there is no sample to embed; describe some first")
    parts = _parts_folder(path, ids, made_with)
    done = []
    for start in range(0, len(ids), PART):
        part = parts / f"{start:08d}.safetensors"
        if not part.exists():
            chosen = ids[start : start + PART]
            write_knowledge(part, _padded(chosen, rows_of(chosen), made_with))
        done.append(read_knowledge(part))
        on_done(min(start + PART, len(ids)))
    whole = KnowledgeEmbeddings(
        sample_ids=ids,
        embeddings=np.concatenate([part.embeddings for part in done]),
        counts=np.concatenate([part.counts for part in done]),
        made_with=made_with,
    )
    write_knowledge(path, whole)
    shutil.rmtree(parts)
    return whole


def _parts_folder(path: Path, ids: tuple[str, ...], made_with: dict[str, Any]) -> Path:
    """Where unfinished work lies; work on other samples, texts or weights has another folder."""
    work = hashlib.sha256(json.dumps([ids, made_with], sort_keys=True).encode()).hexdigest()
    folder = path.with_name(f"{path.name}.{work[:12]}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _padded(ids: tuple[str, ...], rows: Rows, made_with: dict[str, Any]) -> KnowledgeEmbeddings:
    D = rows[0].shape[1]
    embeddings = np.zeros((len(rows), MAX_SENTENCES, D), np.float32)
    for index, row in enumerate(rows):
        embeddings[index, : len(row)] = row
    counts = np.array([len(row) for row in rows], np.int64)
    return KnowledgeEmbeddings(
        sample_ids=ids, embeddings=embeddings, counts=counts, made_with=made_with
    )
