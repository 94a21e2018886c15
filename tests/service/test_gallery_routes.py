"""The gallery and embeddings over HTTP, on the tiny bundle; and a server killed after its 201."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from c2vl_serve.recognition.gallery_store import GalleryStore
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings

PATH = "/gallery/actions"


def body(seed: int = 0, num_frames: int = 20) -> dict[str, Any]:
    """Somebody's joints, different for each seed."""
    joints = np.random.default_rng(seed).normal(size=(num_frames, 20, 3))
    return {"joints": joints.tolist(), "layout": "kinect20", "fps": 30}


@pytest.fixture
def client(recognizer: ActionRecognizer, tmp_path: Path) -> Iterator[TestClient]:
    settings = ServiceSettings(pose_workers=0, gallery=tmp_path / "gallery.sqlite")
    with TestClient(create_app(settings, recognizer)) as client:
        yield client


def test_an_example_is_embedded(client: TestClient, recognizer: ActionRecognizer) -> None:
    answer = client.post("/embed", json=body()).json()
    (person,) = answer["persons"]
    assert (answer["bundle"], answer["dims"]) == ("tiny@1.0.0", len(person["embedding"]))
    assert answer["model"] == recognizer.bundle.card.hashes["model.onnx"]
    assert np.linalg.norm(person["embedding"]) == pytest.approx(1, abs=1e-5)
    assert answer["frames"] == {"read": 20, "used": 20, "fps": 30.0, "complete": True}
    assert answer["timing_ms"]["total"] > 0
    again = client.post("/embed", json=body()).json()["persons"][0]["embedding"]
    assert again == person["embedding"]


def test_nobody_has_no_embedding(client: TestClient) -> None:
    unseen = {**body(), "visibility": np.zeros((20, 20)).tolist()}
    answer = client.post("/embed", json=unseen)
    assert (answer.status_code, answer.json()["persons"]) == (200, [])
    refused = client.post(f"{PATH}/hop", json=unseen)
    assert refused.status_code == 422
    assert "shows nobody clearly or long enough to learn from" in refused.json()["detail"]


def test_enrol_then_predict_then_forget(client: TestClient) -> None:
    before = client.post("/predict", json=body()).json()
    assert client.get(PATH).json() == {"bundle": "tiny@1.0.0", "actions": []}

    enrolled = client.post(f"{PATH}/jumping jack", json=body())
    assert enrolled.status_code == 201
    assert enrolled.json().items() >= {"name": "jumping jack", "num_examples": 1}.items()
    buffer = io.BytesIO()
    np.save(buffer, np.array(body(1)["joints"], np.float32))
    raw = client.post(
        f"{PATH}/jumping jack",
        params={"layout": "kinect20", "fps": 30},
        content=buffer.getvalue(),
        headers={"Content-Type": "application/x-npy"},
    )
    assert raw.json()["num_examples"] == 2
    assert client.get(f"{PATH}/jumping jack").json() == {"name": "jumping jack", "num_examples": 2}

    client.delete(f"{PATH}/jumping jack")
    client.post(f"{PATH}/jumping jack", json=body())
    after = client.post("/predict", json=body()).json()
    assert after["actions"][0]["label"] == "jumping jack"
    assert after["recognised"]
    assert sum(action["score"] for action in after["actions"]) == pytest.approx(1)

    assert client.delete(f"{PATH}/jumping jack").status_code == 204
    assert client.post("/predict", json=body()).json()["actions"] == before["actions"]


def test_problems(client: TestClient) -> None:
    def told(answer: Any) -> tuple[int, str]:
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status_code, answer.json()["detail"]

    assert told(client.get(f"{PATH}/hop"))[0] == 404
    assert told(client.delete(f"{PATH}/hop"))[0] == 404
    label = client.get("/bundle").json()["labels"][0]
    status, detail = told(client.post(f"{PATH}/{label}", json=body()))
    assert (status, "choose" in detail or "another name" in detail) == (409, True)
    assert told(client.post(f"{PATH}/a,b", json=body()))[0] == 422
    assert told(client.post(f"{PATH}/hop", json={"joints": []}))[0] == 422
    assert told(client.post(f"{PATH}/hop", content=b"x"))[0] == 415
    for _ in range(10):
        assert client.post(f"{PATH}/hop", json=body()).status_code == 201
    status, detail = told(client.post(f"{PATH}/hop", json=body()))
    assert (status, "at most 10" in detail) == (409, True)


def test_only_labels_that_are_asked_for_compete(client: TestClient) -> None:
    first, second, _ = client.get("/bundle").json()["labels"]
    client.post(f"{PATH}/hop", json=body(3))
    query = {"labels": f" {first},hop , {second.upper()}"}
    answer = client.post("/predict", params=query, json=body()).json()
    assert {action["label"] for action in answer["actions"]} == {first, second, "hop"}
    assert sum(action["score"] for action in answer["actions"]) == pytest.approx(1)
    unknown = client.post("/predict", params={"labels": "flying"}, json=body())
    assert unknown.status_code == 422
    assert "'flying', which is not known: bundle tiny@1.0.0 carries no texts" in unknown.text


def test_export_and_import(client: TestClient, recognizer: ActionRecognizer) -> None:
    client.post(f"{PATH}/hop", json=body())
    content = client.get("/gallery/export").content
    client.delete(f"{PATH}/hop")
    headers = {"Content-Type": "application/json"}
    taken_in = client.post("/gallery/import", content=content, headers=headers)
    assert taken_in.json()["actions"] == [{"name": "hop", "num_examples": 1}]
    other = orjson.dumps({**orjson.loads(content), "model": "0" * 64})
    refused = client.post("/gallery/import", content=other, headers=headers)
    assert refused.status_code == 409
    assert "embeddings of another network mean something else" in refused.json()["detail"]
    assert client.post("/gallery/import", content=b"{}", headers=headers).status_code == 422


def test_a_service_restarted_knows_them_still(
    client: TestClient, recognizer: ActionRecognizer, tmp_path: Path
) -> None:
    client.post(f"{PATH}/hop", json=body())
    settings = ServiceSettings(pose_workers=0, gallery=tmp_path / "gallery.sqlite")
    with TestClient(create_app(settings, recognizer)) as again:
        assert again.get(PATH).json()["actions"] == [{"name": "hop", "num_examples": 1}]


@pytest.mark.slow
def test_a_server_killed_after_its_201_has_lost_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    gallery = tmp_path / "gallery.sqlite"
    code = "from c2vl_serve.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "--port", str(port), "--bundle", str(tiny_bundle)]
    settings = {"C2VL_GALLERY": str(gallery), "C2VL_POSE_WORKERS": "0"}
    with subprocess.Popen(command, env={**_environment(), **settings}) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health/ready", server)
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}{PATH}/hop",
                data=orjson.dumps(body()),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 201
                server.send_signal(signal.SIGKILL)
        finally:
            server.kill()
    bundle = ActionRecognizer.load(tiny_bundle).bundle
    assert GalleryStore(gallery, bundle).gallery.names == ("hop",)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server is ready; it may take its time on a busy machine."""
    while True:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
