"""The main job on real input through the service: Kinect clips and videos."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import find_pose_model
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.skeleton.layout import KINECT20

from .test_predict import NPY, npy

TEST_SUBJECTS = (2, 4, 6)


@pytest.fixture(scope="module")
def everyday() -> Iterator[TestClient]:
    """A service with the default bundle."""
    with TestClient(create_app(ServiceSettings(pose_workers=0))) as client:
        yield client


@pytest.fixture(scope="module")
def utd_mhad(data_dir: Path) -> dict[str, Any]:
    path = data_dir / "load_skeletons.py"
    spec = importlib.util.spec_from_file_location("load_skeletons", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.load(data_dir / "utd_mhad" / "utd_mhad.npz")


def test_kinect_clips_get_their_labels_as_json_and_as_npy(
    everyday: TestClient, utd_mhad: dict[str, Any]
) -> None:
    order = [list(utd_mhad["joint_names"]).index(joint) for joint in KINECT20.joints]
    sources = everyday.get("/bundle").json()["label_sources"]
    num_right = num_clips = 0
    for index in range(0, len(utd_mhad["clips"]), 40):
        if utd_mhad["subjects"][index] not in TEST_SUBJECTS:
            continue
        clip = np.ascontiguousarray(utd_mhad["clips"][index][:, order])
        body = {"joints": clip.tolist(), "layout": "kinect20", "fps": 30}
        as_json = everyday.post("/predict", json=body).json()
        as_npy = everyday.post(
            "/predict", content=npy(clip), headers=NPY, params={"layout": "kinect20", "fps": "30"}
        ).json()
        assert as_json["actions"] == as_npy["actions"]
        name = utd_mhad["class_names"][utd_mhad["labels"][index]]
        num_right += f"utd_mhad:{name}" in sources[as_json["actions"][0]["label"]]
        num_clips += 1
    assert num_clips >= 5
    assert num_right >= 0.8 * num_clips


@pytest.fixture(scope="module")
def videos(recognizer: ActionRecognizer, data_dir: Path) -> Iterator[TestClient]:
    """A service with one pose worker."""
    try:
        find_pose_model()
    except RuntimeUnavailable as error:
        pytest.skip(str(error))
    with TestClient(create_app(ServiceSettings(pose_workers=1), recognizer)) as client:
        yield client


def upload(client: TestClient, path: Path, **params: str) -> tuple[int, dict[str, Any]]:
    answer = client.post("/predict", files={"file": (path.name, path.read_bytes())}, params=params)
    return answer.status_code, answer.json()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "complete", "note"),
    [
        ("one_frame", True, "single frame"),
        ("tiny_96px", True, ""),
        ("rotated90_metadata", True, ""),
        ("corrupt_middle", False, "video is damaged from"),
    ],
)
def test_odd_videos_are_answered(
    videos: TestClient, data_dir: Path, name: str, complete: bool, note: str
) -> None:
    status, answer = upload(videos, data_dir / "videos" / "edge" / f"{name}.mp4", persons="1")
    assert status == 200
    assert answer["frames"]["complete"] is complete
    assert note in " ".join(answer["notes"])
    assert answer["timing_ms"]["pose"] > 0
    assert [person["id"] for person in answer["persons"]] == [0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("empty", "the file is empty (0 bytes)"),
        ("not_a_video", "it is no video that FFmpeg knows"),
        ("truncated", "send the whole file"),
    ],
)
def test_what_is_no_video_is_422(
    videos: TestClient, data_dir: Path, name: str, sentence: str
) -> None:
    status, problem = upload(videos, data_dir / "videos" / "edge" / f"{name}.mp4")
    assert status == 422
    assert sentence in problem["detail"]


@pytest.mark.slow
def test_a_video_of_nobody_is_answered_and_drawn(videos: TestClient, data_dir: Path) -> None:
    path = data_dir / "videos" / "clips" / "treadtv_output.mp4"
    answer = videos.post(
        "/predict",
        content=path.read_bytes(),
        headers={"content-type": "video/mp4"},
        params={"draw": "true"},
    )
    assert answer.status_code == 200
    got = answer.json()
    assert (got["persons"], got["actions"], got["recognised"]) == ([], [], False)
    assert "no person was found in the video" in got["notes"]
    assert got["overlay"].startswith("data:image/webp;base64,UklGR")
