"""Sentences and embeddings that the rows learn from; made once, kept in the results' folder."""

from pathlib import Path

from c2vl_training.knowledge.class_texts import ClassTexts, names_as_texts, read_class_texts
from c2vl_training.knowledge.describe import (
    ClassTextSource,
    KinematicSource,
    SentenceSource,
    describe,
)
from c2vl_training.knowledge.embed import embed_sentences
from c2vl_training.knowledge.open_set import open_set
from c2vl_training.knowledge.sentences import read_descriptions
from c2vl_training.knowledge.towers import load_sentence_encoder
from c2vl_training.results.rows import Source

CAPTIONS = {"nw_ucla": ("ucla_sentence_openai_t01.txt", "ucla_pasta_openai_t01.txt")}


def class_texts_of(set_name: str, data: Path, class_names: tuple[str, ...]) -> ClassTexts:
    """What is written about a set's classes; their names where nothing is."""
    if set_name not in CAPTIONS:
        return names_as_texts(class_names)
    return read_class_texts(*(data / "captions" / name for name in CAPTIONS[set_name]))


def knowledge_file(set_name: str, source: Source, data: Path, folder: Path) -> Path:
    """Embeddings of a set's sentences, made if they are not there."""
    path = folder / f"{set_name}.{source}.safetensors"
    if path.exists():
        return path
    recordings = open_set(set_name, data)
    speaker: SentenceSource = KinematicSource(recordings=recordings)
    if source == "class-texts":
        texts = class_texts_of(set_name, data, recordings.class_names)
        speaker = ClassTextSource(texts=texts)
    sentences = path.with_suffix(".jsonl")
    describe(recordings.entries, speaker, sentences)
    embed_sentences(read_descriptions(sentences), load_sentence_encoder(), path)
    return path
