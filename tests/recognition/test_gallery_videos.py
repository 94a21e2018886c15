"""Known actions keep their answers beside one that was enrolled from a real video."""

from pathlib import Path

import pytest

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import extract_pose, find_pose_model
from c2vl_serve.recognition.gallery import EnrolledAction, Gallery
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.skeleton.sequence import SkeletonSequence


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


def test_waving_stays_waving_beside_a_jumping_jack(data_dir: Path, pose_model: Path) -> None:
    recognizer = ActionRecognizer.load("everyday")
    jack = watched(data_dir, "treadtv_jumping_jacks.mp4", pose_model)
    example = recognizer.embed(jack, max_persons=1).example()
    action = EnrolledAction(name="jumping jack", examples=example[None])
    gallery = Gallery(actions={action.name: action})
    itself = recognizer.recognise(jack, gallery=gallery)
    assert (itself.actions[0].label, itself.recognised) == ("jumping jack", True)
    waving = watched(data_dir, "sudchaudhary_waving.avi", pose_model)
    answer = recognizer.recognise(waving, gallery=gallery)
    assert (answer.actions[0].label, answer.recognised) == ("wave both hands", True)
