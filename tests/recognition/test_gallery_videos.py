"""Actions enrolled from videos are recognised in another clip; known ones keep their answers."""

from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import extract_pose, find_pose_model
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.skeleton.sequence import SkeletonSequence

PUSH_UPS = ("pushup", "pushup5")


@pytest.fixture(scope="module")
def pose_model() -> Path:
    try:
        return find_pose_model()
    except RuntimeUnavailable as error:
        pytest.skip(str(error))


def watched(data: Path, name: str, model: Path) -> SkeletonSequence:
    found = extract_pose(data / "videos" / "clips" / name, model=model, max_persons=1).sequence
    assert found is not None
    return found


def enrolled(recognizer: ActionRecognizer, name: str, *sequences: SkeletonSequence) -> Gallery:
    examples = [recognizer.embed(each, max_persons=1).example() for each in sequences]
    action = EnrolledAction(name=name, examples=np.stack(examples))
    return Gallery(actions={name: action}, space=recognizer.bundle.gallery_space)


@pytest.fixture(scope="module")
def recognizer() -> ActionRecognizer:
    return ActionRecognizer.load("everyday")


def test_a_push_up_from_two_clips_is_recognised_in_a_third(
    data_dir: Path, pose_model: Path, recognizer: ActionRecognizer
) -> None:
    """Two people before two cameras; the half of each video that was not enrolled is looked at."""
    videos = [watched(data_dir, f"omartarek198_{name}.mp4", pose_model) for name in PUSH_UPS]
    halves = [video.num_frames // 2 for video in videos]
    first = [video.frames(0, half) for video, half in zip(videos, halves, strict=True)]
    gallery = enrolled(recognizer, "push-up", *first)
    answers = [
        recognizer.recognise(video.frames(half, video.num_frames), gallery=gallery)
        for video, half in zip(videos, halves, strict=True)
    ]
    assert [answer.actions[0].label for answer in answers] == ["push-up"] * 2
    assert any(answer.recognised for answer in answers)
    arms = watched(data_dir, "treadtv_arm_circles.mp4", pose_model)
    assert recognizer.recognise(arms, gallery=gallery).actions[0].label != "push-up"


def test_waving_stays_waving_beside_a_jumping_jack(
    data_dir: Path, pose_model: Path, recognizer: ActionRecognizer
) -> None:
    jack = watched(data_dir, "treadtv_jumping_jacks.mp4", pose_model)
    gallery = enrolled(recognizer, "jumping jack", jack)
    itself = recognizer.recognise(jack, gallery=gallery)
    assert (itself.actions[0].label, itself.recognised) == ("jumping jack", True)
    waving = watched(data_dir, "sudchaudhary_waving.avi", pose_model)
    answer = recognizer.recognise(waving, gallery=gallery)
    assert (answer.actions[0].label, answer.recognised) == ("wave both hands", True)
