"""Describing a set: every source, resuming after a kill, and files that do not fit."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl_serve.errors import C2VLError, SequenceError
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.recording import Entry, Recordings
from c2vl_training.knowledge.class_texts import names_as_texts
from c2vl_training.knowledge.describe import (
    ClassTextSource,
    KinematicSource,
    LmmSource,
    describe,
)
from c2vl_training.knowledge.kinematic import kinematic_sentences
from c2vl_training.knowledge.lmm import load_speaker
from c2vl_training.knowledge.sentences import Description, read_descriptions
from tests.training.knowledge.made_clips import write_clip
from tests.training.knowledge.made_models import save_lmm
from tests.training.knowledge.made_motions import clapping, motion, raising, squatting

SKELETONS = {
    "made/S001A001": motion(raising("left"), seconds=1.0),
    "made/S002A002": motion(*clapping(2), seconds=1.0),
    "made/S001A003": motion(squatting(), seconds=1.0),
}
ENTRIES = tuple(
    Entry(sample_id=sample, class_name=f"class {sample[-1]}", subject=int(sample[8]))
    for sample in SKELETONS
)
RECORDINGS = Recordings(entries=ENTRIES, read=SKELETONS.__getitem__, source="made")


@dataclass(slots=True)
class Counting:
    """A source that counts whom it was asked about."""

    asked: list[str] = field(default_factory=list)
    stop_at: int = 99
    made_with: dict[str, Any] = field(default_factory=lambda: {"source": "counting"})

    def __call__(self, entry: Entry) -> tuple[str, ...]:
        if len(self.asked) == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(entry.sample_id)
        return (f"Sentence {len(self.asked)}.", "Another.")


def test_kinematic_sentences_of_a_set(tmp_path: Path) -> None:
    path = tmp_path / "a" / "made.jsonl"
    seen: list[int] = []
    assert describe(ENTRIES, KinematicSource(recordings=RECORDINGS), path, seen.append) == 0
    read = read_descriptions(path)
    assert seen == [1, 2, 3]
    assert read.made_with == {"source": "kinematic", "set": "made", "seed": 0}
    for sample in read.samples:
        assert sample.sentences == kinematic_sentences(SKELETONS[sample.sample_id])
        assert sample.subject == int(sample.sample_id[8])


def test_of_two_persons_the_clearest_is_described(tmp_path: Path) -> None:
    clear, hidden = SKELETONS["made/S001A001"], SKELETONS["made/S001A003"]
    both = SkeletonSequence(
        joints=np.concatenate([hidden.joints, clear.joints], axis=1),
        visibility=np.concatenate([0.5 * hidden.visibility, clear.visibility], axis=1),
        fps=clear.fps,
        layout=clear.layout,
    )
    recordings = Recordings(entries=ENTRIES[:1], read=lambda _: both, source="two")
    assert KinematicSource(recordings=recordings)(ENTRIES[0]) == kinematic_sentences(clear)


def test_an_interrupted_run_asks_for_the_rest_only(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    with pytest.raises(KeyboardInterrupt):
        describe(ENTRIES, Counting(stop_at=2), path)
    content = path.read_bytes()
    path.write_bytes(content[:-9])  # the process died within the last line
    again = Counting()
    describe(ENTRIES, again, path)
    assert again.asked == [entry.sample_id for entry in ENTRIES[1:]]
    read = read_descriptions(path)
    assert [sample.sample_id for sample in read.samples] == list(SKELETONS)


def test_a_file_killed_before_its_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    path.write_bytes(b'{"format": "c2vl-sent')
    describe(ENTRIES, Counting(), path)
    assert len(read_descriptions(path).samples) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from c2vl_training.knowledge.describe import describe
from tests.training.knowledge.test_describe import ENTRIES, Counting

def on_done(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)

describe(ENTRIES, Counting(), Path(sys.argv[1]), on_done)
"""


def test_after_kill_9_the_same_file_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    root = Path(__file__).parents[3]
    died = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, check=False)
    assert died.returncode == -signal.SIGKILL
    rest = Counting()
    describe(ENTRIES, rest, path)
    assert rest.asked == [ENTRIES[2].sample_id]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    describe(ENTRIES, KinematicSource(recordings=RECORDINGS), path)
    with pytest.raises(C2VLError, match=r"were made with seed=0 \(asked: 1\); choose another file"):
        describe(ENTRIES, KinematicSource(recordings=RECORDINGS, seed=1), path)


def test_what_cannot_be_described_is_skipped_with_its_reason(tmp_path: Path) -> None:
    def source_of(entry: Entry) -> tuple[str, ...]:
        if entry is ENTRIES[1]:
            raise SequenceError("shows nobody")
        return ("Something.",)

    class Partly(Counting):
        def __call__(self, entry: Entry) -> tuple[str, ...]:
            return source_of(entry)

    path = tmp_path / "made.jsonl"
    assert describe(ENTRIES, Partly(), path) == 1
    read = read_descriptions(path)
    assert read.skipped == {"made/S002A002": "shows nobody"}
    assert len(read.samples) == 2


@pytest.mark.parametrize("sentences", [(), ("Something.", " ")])
def test_an_empty_answer_is_refused(sentences: tuple[str, ...]) -> None:
    with pytest.raises(C2VLError, match="sample 'x' got the sentences .* none of them empty"):
        Description(sample_id="x", class_name="c", sentences=sentences)


def test_class_texts_are_marked_as_supervision(tmp_path: Path) -> None:
    source = ClassTextSource(texts=names_as_texts(RECORDINGS.class_names))
    describe(ENTRIES, source, tmp_path / "a.jsonl")
    read = read_descriptions(tmp_path / "a.jsonl")
    assert read.made_with["supervised"] is True
    assert read.samples[0].sentences == ("A person is doing this: class 1.",)


def test_a_model_describes_the_frames_of_each_clip(tmp_path: Path) -> None:
    for number, entry in enumerate(ENTRIES[:2]):
        write_clip(tmp_path / "clips" / f"{entry.sample_id}_rgb.avi", 5 + 3 * number)
    speaker = load_speaker(save_lmm(tmp_path / "model"), max_new_tokens=4)
    source = LmmSource(
        videos=tmp_path / "clips", speaker=speaker, model_name="tiny", prompt="describe",
        num_frames=6,
    )  # fmt: skip
    assert describe(ENTRIES, source, tmp_path / "a.jsonl") == 1
    read = read_descriptions(tmp_path / "a.jsonl")
    assert [len(sample.sentences) for sample in read.samples] == [5, 6]
    assert "has no video below" in read.skipped["made/S001A003"]
    assert read.made_with["model"] == "tiny"


def test_damaged_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(C2VLError, match="cannot be read.*knowledge describe"):
        read_descriptions(path)
    path.write_text('{"format": "other"}\n')
    with pytest.raises(C2VLError, match="does not begin with format 'c2vl-sentences-1'"):
        read_descriptions(path)
    path.write_text(json.dumps({"format": "c2vl-sentences-1", "made_with": {}}) + "\n{}\n")
    with pytest.raises(C2VLError, match="line 2 cannot be read"):
        read_descriptions(path)
