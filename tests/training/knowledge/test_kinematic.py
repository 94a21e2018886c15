"""What the describer says of movements made by hand, and what it must not depend on."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import BODY15, KINECT20, NTU25
from c2vl_serve.skeleton.resampling import resample
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_training.knowledge.kinematic import MAX_SENTENCES, SUBJECTS, kinematic_sentences
from tests.training.knowledge.made_motions import (
    bowing,
    circling,
    clapping,
    kicking,
    motion,
    pushing,
    raising,
    sitting_down,
    squatting,
    stepping,
    turning,
)

SWAPPED = {"left": "right", "right": "left", "clockwise": "anticlockwise"}
SWAPPED["anticlockwise"] = "clockwise"


def said(sequence: SkeletonSequence) -> str:
    return " ".join(kinematic_sentences(sequence))


def mirrored(sequence: SkeletonSequence) -> SkeletonSequence:
    """The movement in a mirror: left joints become right ones."""
    joints = sequence.joints[:, :, list(sequence.layout.mirror)] * np.array([-1, 1, 1], np.float32)
    return replace(sequence, joints=joints)


def swapped(text: str) -> str:
    return re.sub(r"\w+", lambda word: SWAPPED.get(word[0], word[0]), text)


def seen_from(
    sequence: SkeletonSequence, yaw: float, scale: float, shift: tuple[float, float, float]
) -> SkeletonSequence:
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    joints = scale * sequence.joints @ turn.T + np.array(shift)
    return replace(sequence, joints=joints.astype(np.float32))


@pytest.mark.parametrize(("side", "other"), [("left", "right"), ("right", "left")])
def test_raising_one_arm_says_which(side: str, other: str) -> None:
    text = said(motion(raising(side)))
    assert f"moves the {side} arm only" in text
    assert f"{side} hand" in text
    assert "above the head" in text
    assert not re.search(rf"\b{other}\b", text)


def test_raising_goes_out_and_up_and_stays() -> None:
    text = said(motion(raising("left")))
    assert "outward" in text
    assert "ends with the left hand above the head" in text
    assert "keeps the left arm straight" in text
    assert "stands upright" in text


def test_standing_still_stays_still() -> None:
    sentences = kinematic_sentences(motion())
    assert "stays still" in sentences[0]
    assert "hand is" not in " ".join(sentences)
    assert not re.search(r"\b(left|right|lifts|walks)\b", " ".join(sentences))


def test_a_shaking_tracker_is_not_movement() -> None:
    still = motion()
    noise = np.random.default_rng(0).normal(scale=0.005, size=still.joints.shape)
    assert said(replace(still, joints=still.joints + noise.astype(np.float32))) == said(still)


def test_squat_lowers_hips_and_bends_knees() -> None:
    text = said(motion(squatting()))
    assert "squats down with bent knees and stands up from the squat" in text
    assert "bends both knees" in text
    assert "lowers the hips and comes up again" in text


@pytest.mark.parametrize(
    ("count", "word"), [(2, "once|twice"), (3, "three times"), (5, "five times")]
)
def test_squats_are_counted(count: int, word: str) -> None:
    text = said(motion(squatting(count), seconds=2.0 * count))
    assert re.search(rf"bends the knees and rises ({word})", text)


def test_sitting_down_and_standing_up() -> None:
    down = motion(sitting_down())
    up = replace(down, joints=down.joints[::-1].copy())
    assert "sits down" in said(down)
    assert "lowers the hips and stays low" in said(down)
    assert "stands up from sitting" in said(up)
    assert "sits down" not in said(up)


def test_bowing_bends_over_and_comes_up() -> None:
    text = said(motion(bowing()))
    assert "bends over forward towards the ground and straightens up again" in text
    assert "knees" not in text.replace("at the knees", "")


@pytest.mark.parametrize("count", [2, 3, 4])
def test_clapping_is_both_hands_together_and_counted(count: int) -> None:
    word = {2: "twice", 3: "three times", 4: "four times"}[count]
    text = said(motion(*clapping(count))).replace("two times", "twice")
    assert "uses both arms together" in text
    assert f"brings both hands together {word}" in text
    assert not re.search(r"\b(left|right)\b", text)


@pytest.mark.parametrize(("count", "word"), [(3, "three times"), (5, "five times")])
def test_pushes_are_counted(count: int, word: str) -> None:
    text = said(motion(pushing("right", count), seconds=float(count)))
    assert re.search(rf"moves the right hand (forward and back|up and down) {word}", text)


def test_arms_in_turn_are_alternating() -> None:
    left, right = motion(pushing("left", 3)), motion(pushing("right", 3))
    late = np.roll(right.joints, len(right.joints) // 6, axis=0)
    arm = [KINECT20.index(f"r_{part}") for part in ("elbow", "wrist", "hand")]
    joints = left.joints.copy()
    joints[:, :, arm] = late[:, :, arm]
    assert "moves the two arms in turn" in said(replace(left, joints=joints))


@pytest.mark.parametrize(
    ("side", "sense", "word"),
    [("right", 1, "anticlockwise"), ("right", -1, "clockwise"), ("left", 1, "clockwise")],
)
def test_circles_as_the_person_sees_them(side: str, sense: int, word: str) -> None:
    assert f"draws a circle {word} with the {side} hand" in said(motion(circling(side, sense)))


def test_a_kick_says_the_foot() -> None:
    text = said(motion(kicking("left")))
    assert "kicks the left foot forward" in text
    assert not re.search(r"\bright\b", text)
    assert "keeps both arms quiet" in text


def test_walking_is_on_the_spot_or_through_the_room() -> None:
    assert "walks on the spot" in said(motion(stepping(1.6)))
    assert "walks forward through the room" in said(motion(stepping(1.6, speed=1.0)))
    assert "walks backwards through the room" in said(motion(stepping(1.6, speed=-1.0)))
    assert "jogs on the spot" in said(motion(stepping(3.0)))


@pytest.mark.parametrize(("degrees", "side"), [(120, "left"), (-120, "right")])
def test_turning_says_where_to(degrees: float, side: str) -> None:
    assert f"turns the body to the {side}" in said(motion(turning(degrees)))


def test_fast_and_slow_are_told_apart() -> None:
    fast, slow = motion(pushing("left", 1), seconds=0.7), motion(pushing("left", 1), seconds=5.0)
    assert "moves slowly" in said(slow)
    assert "moves quickly" in said(fast)


MOTIONS = {
    "raise": motion(raising("left")),
    "push": motion(pushing("right", 3)),
    "circle": motion(circling("right", 1)),
    "clap": motion(*clapping(3)),
    "kick": motion(kicking("right")),
    "squat": motion(squatting()),
    "turn": motion(turning(120)),
    "bow": motion(bowing()),
}


@pytest.mark.parametrize("name", MOTIONS)
def test_a_mirrored_motion_is_the_mirrored_text(name: str) -> None:
    sequence = MOTIONS[name]
    assert kinematic_sentences(mirrored(sequence)) == tuple(
        swapped(sentence) for sentence in kinematic_sentences(sequence)
    )


TEXTS = {name: said(sequence) for name, sequence in MOTIONS.items()}


@settings(deadline=None, max_examples=25)
@given(
    name=st.sampled_from(sorted(MOTIONS)),
    yaw=st.floats(-3.1, 3.1),
    scale=st.floats(0.5, 2.0),
    shift=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_camera_and_body_size_do_not_matter(
    name: str, yaw: float, scale: float, shift: tuple[float, float, float]
) -> None:
    sequence = MOTIONS[name]
    assert said(seen_from(sequence, yaw, scale, shift)) == TEXTS[name]


@pytest.mark.parametrize("name", MOTIONS)
@pytest.mark.parametrize("fps", [15.0, 25.0, 60.0])
def test_frame_rate_hardly_matters(name: str, fps: float) -> None:
    sequence = MOTIONS[name]
    again = kinematic_sentences(resample(sequence, fps))
    same = set(again) & set(kinematic_sentences(sequence))
    assert len(same) >= 0.7 * len(again)


def test_any_layout_says_the_same() -> None:
    sequence = MOTIONS["raise"]
    for layout in (BODY15, NTU25):
        assert said(convert(sequence, layout)[0]) == said(sequence)


@pytest.mark.parametrize("name", MOTIONS)
def test_sentences_are_few_different_and_whole(name: str) -> None:
    sentences = kinematic_sentences(MOTIONS[name])
    assert 6 <= len(sentences) <= MAX_SENTENCES
    assert len(set(sentences)) == len(sentences)
    for sentence in sentences:
        assert re.fullmatch(r"[A-Z][a-z ,]+\.", sentence), sentence
        assert "  " not in sentence


def test_another_seed_is_other_words_for_the_same() -> None:
    first, second = (kinematic_sentences(MOTIONS["raise"], seed=seed) for seed in (0, 1))
    assert first == kinematic_sentences(MOTIONS["raise"], seed=0)
    assert first[0] != second[0]
    assert first[1] == second[0]  # the second wording of the one is the first of the other
    assert first[0].startswith(SUBJECTS[0])


def test_fewer_sentences_can_be_asked_for() -> None:
    assert kinematic_sentences(MOTIONS["clap"], most=3) == kinematic_sentences(MOTIONS["clap"])[:3]


def test_hidden_legs_are_not_spoken_of() -> None:
    sequence = MOTIONS["kick"]
    visibility = sequence.visibility.copy()
    for name in KINECT20.joints:
        if name[2:] in ("knee", "ankle", "foot"):
            visibility[:, :, KINECT20.index(name)] = 0
    text = said(replace(sequence, visibility=visibility))
    assert "foot" not in text
    assert "upright" in text


def test_lost_frames_are_bridged() -> None:
    sequence = MOTIONS["raise"]
    visibility, joints = sequence.visibility.copy(), sequence.joints.copy()
    visibility[40:44], joints[40:44] = 0, 0
    lost = replace(sequence, visibility=visibility, joints=joints)
    assert kinematic_sentences(lost)[0] == kinematic_sentences(sequence)[0]


def test_what_cannot_be_described_is_refused() -> None:
    sequence = MOTIONS["raise"]
    with pytest.raises(SequenceError, match="2 persons in 3 coordinates; .* choose one"):
        kinematic_sentences(sequence.persons(0, 0))
    with pytest.raises(SequenceError, match="1 persons in 2 coordinates"):
        kinematic_sentences(replace(sequence, joints=sequence.joints[..., :2]))
    with pytest.raises(SequenceError, match="seen in 0% of the frames"):
        kinematic_sentences(replace(sequence, visibility=np.zeros_like(sequence.visibility)))
    with pytest.raises(SequenceError, match="hips and shoulders are in one place"):
        kinematic_sentences(replace(sequence, joints=np.zeros_like(sequence.joints)))


def test_one_frame_can_be_described() -> None:
    assert "stays still" in kinematic_sentences(MOTIONS["raise"].frames(0, 1))[0]


def test_real_clips_say_what_they_show(data_dir: Path) -> None:
    """The words that tell the classes of UTD-MHAD apart, in most of each class's training clips."""
    from c2vl_training.knowledge.open_set import open_set, training_ids

    if not (data_dir / "utd_mhad" / "utd_mhad.npz").exists():
        pytest.skip("UTD-MHAD is not here")
    expected = {
        "sit to stand": "stands up",
        "stand to sit": "sits down",
        "squat (two arms stretch out)": "squat",
        "two hand front clap": "both hands together",
        "forward lunge (left foot forward)": "left foot in front",
        "jogging in place": "on the spot",
    }
    recordings, train = open_set("utd_mhad", data_dir), training_ids("utd_mhad", data_dir)
    for name, words in expected.items():
        clips = recordings.where(lambda e, n=name: e.class_name == n and e.sample_id in train)
        texts = [said(recording.sequence) for recording in list(clips)[:6]]
        assert sum(words in text for text in texts) >= 4, (name, texts[0])
