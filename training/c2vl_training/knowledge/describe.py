"""Describe: a sentence source says something about every recording; killed, it goes on.

kinematic     from the skeleton itself: label-free            `kinematic.py`
lmm           a multimodal model looks at frames: label-free  `lmm.py`
class-texts   what is written about the class: supervision    `class_texts.py`
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from c2vl_serve.errors import SequenceError
from c2vl_training.data.readers.recording import Entry, Recordings
from c2vl_training.knowledge.class_texts import ClassTexts
from c2vl_training.knowledge.kinematic import MAX_SENTENCES, kinematic_sentences
from c2vl_training.knowledge.lmm import DEFAULT_PROMPT, FrameSpeaker
from c2vl_training.knowledge.sentences import Description, DescriptionFile
from c2vl_training.knowledge.videos import clip_frames, find_clip


@runtime_checkable
class SentenceSource(Protocol):
    """Something that has sentences about a recording."""

    @property
    def made_with(self) -> dict[str, Any]:
        """Its name and all settings that change what it says; JSON-able."""

    def __call__(self, entry: Entry) -> tuple[str, ...]:
        """The sentences.

        Raises:
            SequenceError: when there is nothing to be said about this one.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class KinematicSource:
    """Sentences from the skeleton; of several persons the one that is seen most is described.

    Attributes:
        recordings: where skeletons are read.
        seed: chooses the words, for all clips alike.
    """

    recordings: Recordings
    seed: int = 0

    @property
    def made_with(self) -> dict[str, Any]:
        """Name and settings."""
        return {"source": "kinematic", "set": self.recordings.source, "seed": self.seed}

    def __call__(self, entry: Entry) -> tuple[str, ...]:
        """Describe the clearest person."""
        sequence = self.recordings.read(entry.sample_id)
        clearest = int(np.argmax(sequence.visibility.sum(axis=(0, 2))))
        return kinematic_sentences(sequence.persons(clearest), seed=self.seed)


@dataclass(frozen=True, kw_only=True, slots=True)
class LmmSource:
    """What a multimodal model says about the frames of each recording's video.

    Attributes:
        videos: folder of the clips, named by sample id (``S001..._rgb.avi`` and the like).
        speaker: the model.
        model_name: for the record.
        prompt: what it is asked about every frame.
        num_frames: looked at, evenly spaced.
    """

    videos: Path
    speaker: FrameSpeaker
    model_name: str
    prompt: str = DEFAULT_PROMPT
    num_frames: int = MAX_SENTENCES

    @property
    def made_with(self) -> dict[str, Any]:
        """Name and settings."""
        return {
            "source": "lmm",
            "model": self.model_name,
            "prompt": self.prompt,
            "num_frames": self.num_frames,
        }

    def __call__(self, entry: Entry) -> tuple[str, ...]:
        """One sentence a frame."""
        frames = clip_frames(find_clip(self.videos, entry.sample_id), self.num_frames)
        return self.speaker.sentences(frames, self.prompt)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassTextSource:
    """What is written about a recording's class: this source knows the labels.

    Attributes:
        texts: by class name.
    """

    texts: ClassTexts

    @property
    def made_with(self) -> dict[str, Any]:
        """Name and settings."""
        return {"source": "class-texts", "files": list(self.texts.files), "supervised": True}

    def __call__(self, entry: Entry) -> tuple[str, ...]:
        """The class's sentences."""
        return self.texts.of(entry.class_name)[:MAX_SENTENCES]


def describe(
    entries: tuple[Entry, ...],
    source: SentenceSource,
    path: Path,
    on_done: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the sentences of all entries that the file does not have yet.

    Args:
        entries: of a set, in any order.
        source: asked once for each.
        path: the JSON-lines file; an interrupted one is gone on with.
        on_done: told after each sample how many are done.

    Returns:
        How many had nothing to be said about; the file says why.

    Raises:
        C2VLError: when the file was made with other settings, or an answer is empty.
    """
    file = DescriptionFile(path, source.made_with)
    num_skipped = 0
    try:
        for number, entry in enumerate(entries, start=1):
            if entry.sample_id not in file.done:
                description = _described(entry, source)
                num_skipped += description.skipped is not None
                file.append(description)
            on_done(number)
    finally:
        file.close()
    return num_skipped


def _described(entry: Entry, source: SentenceSource) -> Description:
    sentences: tuple[str, ...] = ()
    skipped = None
    try:
        sentences = source(entry)
    except SequenceError as error:
        skipped = str(error)
    return Description(
        sample_id=entry.sample_id,
        class_name=entry.class_name,
        subject=entry.subject,
        sentences=sentences,
        skipped=skipped,
    )
