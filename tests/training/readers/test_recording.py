"""Recordings: names first, skeletons when asked for; what is refused."""

import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.data.readers.recording import Entry, Protocol, Recording, Recordings
from tests.training.readers.made_files import waves


def test_nothing_is_read_before_it_is_asked_for() -> None:
    asked: list[str] = []
    plain = waves(30, 60)

    def read(sample_id: str) -> SkeletonSequence:
        asked.append(sample_id)
        return plain.read(sample_id)

    recordings = Recordings(entries=plain.entries, read=read, source="counted")
    part = recordings.where(lambda entry: entry.class_name == "long")
    assert (len(recordings), len(part), asked) == (2, 1, [])
    assert isinstance(part[0], Recording)
    assert (part[0].sample_id, part[0].sequence.num_frames) == ("60", 60)
    assert asked == ["60", "60", "60"]
    assert [recording.sequence.num_frames for recording in recordings] == [30, 60]


def test_parts_keep_the_numbers_of_classes() -> None:
    train, test = waves(30, 60, 90).split(Protocol(trains=lambda entry: entry.sample_id == "30"))
    assert train.class_names == test.class_names == ("long", "short")
    assert ([e.sample_id for e in train.entries], len(test)) == (["30"], 2)


def test_twice_the_same_id_and_unknown_classes_are_refused() -> None:
    entry = Entry(sample_id="a", class_name="jump")
    with pytest.raises(SequenceError, match="made: sample id 'a' occurs twice"):
        Recordings(entries=(entry, entry), read=waves().read, source="made")
    with pytest.raises(SequenceError, match=r"classes \['jump'\] are not among the 1 given"):
        Recordings(entries=(entry,), read=waves().read, class_names=("run",), source="made")
