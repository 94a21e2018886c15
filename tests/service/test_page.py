"""The page's files and headers, and what an answer holds for it to draw."""

import re
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from c2vl_serve.pose import FrameReport, PoseExtraction
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.drawable import MAX_FPS, MAX_FRAMES, in_picture, in_room
from c2vl_serve.service.page import FOLDER
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.skeleton.layout import COCO17, KINECT20, LAYOUTS, MEDIAPIPE33, SkeletonLayout
from c2vl_serve.skeleton.sequence import SkeletonSequence

from .test_predict import SKELETON

EXAMPLE = Path(__file__).parents[2] / "examples" / "wave.json"


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/static/page.css"])
def test_nothing_from_elsewhere_may_be_fetched(client: TestClient, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.status_code == 200


def test_a_file_that_is_not_there_is_a_problem(client: TestClient) -> None:
    answer = client.get("/static/absent.js")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "there is nothing at /static/absent.js" in answer.json()["detail"]


def test_files_are_served_unchanged_and_not_twice(client: TestClient) -> None:
    first = client.get("/static/main.js")
    assert first.content == (FOLDER / "main.js").read_bytes()
    again = client.get("/static/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304


def test_all_that_the_page_names_is_there() -> None:
    for file in [FOLDER / "index.html", *FOLDER.glob("*.js")]:
        text = file.read_text(encoding="utf-8")
        assert "://" not in text, f"{file.name} names another place"
        for name in re.findall(r'(?:/static/|from "\./)([\w.-]+)', text):
            assert (FOLDER / name).is_file(), f"{file.name} names {name}"


def test_every_file_is_named_by_another() -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()}
    for file in texts:
        others = (text for other, text in texts.items() if other != file)
        assert file.name == "index.html" or any(file.name in text for text in others), file.name


def test_the_example_is_the_one_of_the_readme(client: TestClient) -> None:
    assert client.get("/static/wave.json").content == EXAMPLE.read_bytes()


def test_only_the_page_itself_needs_no_key(recognizer: ActionRecognizer) -> None:
    settings = ServiceSettings(pose_workers=0, api_keys="secret")
    with TestClient(create_app(settings, recognizer)) as client:
        for path in ("/", "/static/main.js", "/health/ready"):
            assert client.get(path).status_code == 200, path
        for path in ("/bundle", "/docs", "/openapi.json", "/staticx"):
            assert client.get(path).status_code == 401, path
        assert client.get("/bundle", headers={"X-API-Key": "secret"}).status_code == 200


def test_joints_come_only_where_asked_for(client: TestClient) -> None:
    without = client.post("/predict", json=SKELETON).json()
    with_joints = client.post("/predict", json=SKELETON, params={"joints": "true"}).json()
    pose = with_joints["persons"][0].pop("pose")
    for answer in (without, with_joints):
        del answer["timing_ms"]
    assert with_joints == without
    assert (pose["space"], pose["layout"], pose["up"]) == ("room", "kinect20", "+y")
    assert pose["joints"] == list(KINECT20.joints)
    assert "aspect" not in pose
    sent = np.asarray(SKELETON["joints"])
    shown = np.asarray(pose["frames"]).reshape(len(sent), 20, 4)
    np.testing.assert_allclose(shown[..., :3], sent, atol=0.00006)
    assert (shown[..., 3] == 1).all()
    np.testing.assert_allclose(pose["times"], np.arange(len(sent)) / 30, atol=0.00006)


def moving(num_frames: int, fps: float) -> SkeletonSequence:
    joints = np.random.default_rng(0).random((num_frames, 2, 33, 3)).astype(np.float32)
    visibility = np.ones((num_frames, 2, 33), np.float32)
    visibility[0, 1] = 0
    return SkeletonSequence(
        joints=joints, visibility=visibility, fps=fps, layout=MEDIAPIPE33, person_ids=(4, 7)
    )


@pytest.mark.parametrize(
    ("num_frames", "fps"), [(40, 15.0), (40, 30.0), (400, 120.0), (9001, 30.0)]
)
def test_what_is_drawn_is_thinned_evenly(num_frames: int, fps: float) -> None:
    pose = in_room(moving(num_frames, fps))(7)
    assert len(pose.frames) == len(pose.times) <= MAX_FRAMES
    assert pose.fps <= MAX_FPS + 0.01
    np.testing.assert_allclose(np.diff(pose.times), 1 / pose.fps, atol=0.0002)
    assert len(pose.frames) / pose.fps == pytest.approx(num_frames / fps, abs=1 / pose.fps)


def test_joints_in_the_picture_are_the_persons_own() -> None:
    sequence = moving(4, 15.0)
    image = np.random.default_rng(1).random((4, 2, 33, 2)).astype(np.float32)
    found = PoseExtraction(
        sequence=sequence,
        image_joints=image,
        aspect=1.5,
        timestamps=np.array([0.0, 0.07, 0.13, 0.2]),
        frames=FrameReport(read=4, used=4, fps=15.0, complete=True),
        notes=(),
        timing_ms={},
    )
    pose_of = in_picture(found)
    assert pose_of is not None
    pose = pose_of(7)
    assert (pose.space, pose.aspect, pose.times) == ("picture", 1.5, [0.0, 0.07, 0.13, 0.2])
    assert pose.frames[0] == []  # not seen
    shown = np.reshape(pose.frames[1:], (3, 33, 3))
    np.testing.assert_allclose(shown[..., :2], image[1:, 1], atol=0.00006)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_joint_hangs_on_a_line(layout: SkeletonLayout) -> None:
    joints = np.zeros((1, 1, layout.num_joints, 3), np.float32)
    pose = in_room(SkeletonSequence(joints=joints, fps=30.0, layout=layout))(0)
    assert {joint for edge in pose.edges for joint in edge} == set(range(layout.num_joints))


def test_a_tree_from_the_nose_is_drawn_with_girdles() -> None:
    joints = np.zeros((1, 1, 17, 3), np.float32)
    pose = in_room(SkeletonSequence(joints=joints, fps=30.0, layout=COCO17))(0)
    names = {(pose.joints[one], pose.joints[other]) for one, other in pose.edges}
    assert {("l_shoulder", "r_shoulder"), ("l_hip", "r_hip")} <= names
    assert ("nose", "l_shoulder") not in names
