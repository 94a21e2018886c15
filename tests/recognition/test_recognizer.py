"""Recognition with the shipped bundle: people, windows, notes, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from c2vl_serve.errors import SequenceError
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import COCO17, KINECT20, NTU25, SMPL24
from c2vl_serve.skeleton.sequence import SkeletonSequence
from tests.conftest import waving


@pytest.fixture(scope="module")
def recognizer() -> ActionRecognizer:
    return ActionRecognizer.load("everyday")


def beside(*sequences: SkeletonSequence) -> SkeletonSequence:
    """Several persons in one sequence."""
    return replace(
        sequences[0],
        joints=np.concatenate([s.joints for s in sequences], axis=1),
        visibility=np.concatenate([s.visibility for s in sequences], axis=1),
        person_ids=tuple(range(len(sequences))),
    )


def nobody(like: SkeletonSequence) -> SkeletonSequence:
    return replace(
        like, joints=np.zeros_like(like.joints), visibility=np.zeros_like(like.visibility)
    )


def test_somebody_waving_waves(recognizer: ActionRecognizer, wave: SkeletonSequence) -> None:
    answer = recognizer.recognise(wave)
    assert answer.actions[0].label == "wave"
    assert len(answer.actions) == 5
    assert answer.actions[0].score > answer.actions[1].score
    assert answer.persons[0].windows == ()
    assert answer.notes == ("layout kinect20 converted to body15: pelvis, chest approximated",)


def test_scores_are_one_distribution(recognizer: ActionRecognizer, wave: SkeletonSequence) -> None:
    every = recognizer.recognise(wave, top_k=1000).actions
    assert len(every) == len(recognizer.bundle.card.labels)
    assert sum(action.score for action in every) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("layout", [NTU25, SMPL24])
def test_other_layouts_get_the_same_answer(
    recognizer: ActionRecognizer, wave: SkeletonSequence, layout: object
) -> None:
    assert isinstance(layout, type(NTU25))
    converted, _ = convert(wave, layout)
    answer = recognizer.recognise(converted)
    assert answer.actions[0].label == recognizer.recognise(wave).actions[0].label


def test_padding_persons_changes_nothing(
    recognizer: ActionRecognizer, wave: SkeletonSequence
) -> None:
    alone = recognizer.recognise(wave)
    padded = recognizer.recognise(beside(wave, nobody(wave)))
    assert padded.actions == alone.actions
    assert len(padded.persons) == 1


def test_the_clearest_person_comes_first_and_ids_stay(
    recognizer: ActionRecognizer, wave: SkeletonSequence
) -> None:
    dim = replace(wave, visibility=wave.visibility * np.float32(0.5))
    answer = recognizer.recognise(beside(dim, wave, dim), max_persons=2)
    assert [person.id for person in answer.persons] == [1, 0]
    assert answer.actions == answer.persons[0].actions


def test_batch_of_one_is_batch_of_many(
    recognizer: ActionRecognizer, wave: SkeletonSequence
) -> None:
    still = replace(wave, joints=np.repeat(wave.joints[:1], wave.num_frames, axis=0))
    both = recognizer.recognise(beside(wave, still), max_persons=2)
    for person, alone in zip(both.persons, (wave, still), strict=True):
        expected = recognizer.recognise(alone).actions
        assert [a.label for a in person.actions] == [a.label for a in expected]
        np.testing.assert_allclose(
            [a.score for a in person.actions], [a.score for a in expected], atol=1e-5
        )


def test_nobody_is_an_answer(recognizer: ActionRecognizer, wave: SkeletonSequence) -> None:
    answer = recognizer.recognise(nobody(wave))
    assert (answer.actions, answer.persons, answer.recognised) == ((), (), False)
    assert "no person was seen" in answer.notes[-1]


def test_one_frame_is_answered_but_not_recognised(recognizer: ActionRecognizer) -> None:
    answer = recognizer.recognise(waving(num_frames=1))
    assert answer.recognised is False
    assert len(answer.actions) == 5
    assert "too short to recognise" in answer.notes[-1]


def test_a_long_sequence_has_a_timeline(recognizer: ActionRecognizer) -> None:
    sequence = waving(num_frames=300)  # 10 s
    windows = recognizer.recognise(sequence).persons[0].windows
    seconds = recognizer.bundle.card.preprocessing.window_seconds
    assert windows[0].start == 0
    assert windows[0].end == pytest.approx(seconds)
    assert windows[-1].end == pytest.approx(10, abs=0.1)
    assert all(b.start > a.start for a, b in zip(windows, windows[1:], strict=False))


def test_window_and_stride_are_seconds(recognizer: ActionRecognizer) -> None:
    windows = recognizer.recognise(waving(300), window=4.0, stride=1.0).persons[0].windows
    assert [round(w.end - w.start) for w in windows] == [4] * 7
    assert [round(w.start) for w in windows] == list(range(7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": -1.0}, "window is -1.0 s; expected more than 0"),
        ({"stride": float("nan")}, "stride is nan s"),
        ({"stride": 0.001, "window": 0.5}, "expected at most 1200"),
    ],
)
def test_impossible_timelines(
    recognizer: ActionRecognizer, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(SequenceError, match=message):
        recognizer.recognise(waving(9000), **arguments)


def test_two_dimensions_are_refused_with_the_next_step(recognizer: ActionRecognizer) -> None:
    flat = SkeletonSequence(joints=np.ones((9, 1, 17, 2), np.float32), fps=30.0, layout=COCO17)
    with pytest.raises(SequenceError, match="needs 3-D.*lift them first, or send a video"):
        recognizer.recognise(flat)


def test_many_threads_get_the_answers_of_one(recognizer: ActionRecognizer) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sequences = [waving(num_frames=20 + 7 * k) for k in range(16)]
    alone = [recognizer.recognise(sequence).actions for sequence in sequences]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda s: recognizer.recognise(s).actions, sequences))
    assert together == alone


def test_real_clips_get_their_label(recognizer: ActionRecognizer, data_dir: object) -> None:
    """Every fifth UTD-MHAD test clip, whole, as a client would send it."""
    training = pytest.importorskip("c2vl_training.data.packed", reason="the train extra is absent")
    from pathlib import Path

    packed = training.read_packed(Path(str(data_dir)) / "utd_mhad" / "utd_mhad.npz")
    order = [packed.joint_names.index(joint) for joint in KINECT20.joints]
    subjects, sources = packed.extra["subjects"], recognizer.bundle.card.label_sources
    chosen = np.flatnonzero(subjects % 2 == 0)[::5]
    right = 0
    for clip in chosen:
        sequence = SkeletonSequence(
            joints=packed.clips[clip][:, None, order], fps=30.0, layout=KINECT20
        )
        label = recognizer.recognise(sequence).actions[0].label
        right += f"utd_mhad:{packed.class_names[packed.labels[clip]]}" in sources[label]
    assert right / len(chosen) > 0.9
