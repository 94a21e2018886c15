"""Health, the card, what is not there, and a service that cannot or does not work."""

import logging
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.schemas import Prediction
from c2vl_serve.service.settings import ServiceSettings

from .test_predict import SKELETON, form


def test_health(client: TestClient) -> None:
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_the_card_says_what_is_served_and_by_what(client: TestClient) -> None:
    card = client.get("/bundle").json()
    assert card["name"]
    assert card["labels"]
    assert card["runtime"] == "onnxruntime/CPUExecutionProvider"
    assert card["providers"] == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nothing", 404, "there is nothing at /nothing; /docs lists what there is"),
        ("GET", "/predict", 405, "/predict does not take GET"),
        ("DELETE", "/bundle", 405, "/bundle does not take DELETE"),
    ],
)
def test_what_is_not_there_is_a_problem(
    client: TestClient, method: str, path: str, status: int, sentence: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert sentence in answer.json()["detail"]
    assert ("allow" in answer.headers) == (status == 405)


def test_no_other_origin_is_let_in(client: TestClient) -> None:
    answer = client.get("/bundle", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_videos_without_a_pose_model_are_503_with_the_next_step(
    recognizer: ActionRecognizer, tmp_path: Path
) -> None:
    settings = ServiceSettings(pose_model=tmp_path / "absent.task", pose_workers=1)
    with TestClient(create_app(settings, recognizer)) as client:
        assert client.get("/health/ready").status_code == 200
        assert client.post("/predict", json=SKELETON).status_code == 200
        for request in (
            form(("file", "a.mp4", b"\x00\x00\x00\x18ftypmp42")),
            {"content": b"\x00", "headers": {"content-type": "video/mp4"}},
        ):
            answer = client.post("/predict", **request)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert "run: c2vl-serve fetch-pose-model" in answer.json()["detail"]


def test_videos_may_be_turned_off(client: TestClient) -> None:
    answer = client.post("/predict", content=b"\x00", headers={"content-type": "video/webm"})
    assert answer.status_code == 503
    assert "videos are turned off on this service" in answer.json()["detail"]


def test_a_provider_that_is_not_there_is_told_by_ready(tiny_bundle: Path) -> None:
    settings = ServiceSettings(bundle=str(tiny_bundle), provider="cuda", pose_workers=0)
    with TestClient(create_app(settings)) as client:
        assert client.get("/health/live").status_code == 200
        for answer in (client.get("/health/ready"), client.post("/predict", json=SKELETON)):
            assert answer.status_code == 503
            assert "not ready: " in answer.json()["detail"]
            assert "cuda" in answer.json()["detail"].lower()


def test_the_bundle_of_the_settings_is_loaded(tiny_bundle: Path) -> None:
    settings = ServiceSettings(bundle=str(tiny_bundle), pose_workers=0)
    with TestClient(create_app(settings)) as client:
        assert client.post("/predict", json=SKELETON).status_code == 200


def test_a_fault_of_ours_is_a_clean_500(
    recognizer: ActionRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyError("inner secret")

    app = create_app(ServiceSettings(pose_workers=0), recognizer)
    with TestClient(app, raise_server_exceptions=False) as client:
        monkeypatch.setattr(ActionRecognizer, "answer", fail)
        answer = client.post("/predict", json=SKELETON)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_a_runtime_that_the_caller_missed_is_told_and_not_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ActionRecognizer, "load", None)  # called, it would raise
    missing = RuntimeUnavailable("onnxruntime is not installed; run: pip install it")
    with TestClient(create_app(ServiceSettings(pose_workers=0), missing)) as client:
        answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["detail"] == f"not ready: {missing}"


@pytest.mark.parametrize("query", ["", "window=0.5&stride=0.2&joints=true&top_k=2", "labels=wave"])
def test_an_answer_is_all_that_its_description_says(client: TestClient, query: str) -> None:
    """It is written from recognition's values; the description is pydantic's."""
    answer = client.post(f"/predict?{query}", json=SKELETON)
    described = Prediction.model_validate_json(answer.content, strict=True)
    assert described.model_dump(mode="json", exclude_none=True) == answer.json()
    assert set(answer.json()) == {*Prediction.model_fields} - {"overlay"}


def test_the_log_tells_the_event_and_no_joints(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    joint = [1234.5, 6789.25, 4242.75]
    with caplog.at_level(logging.DEBUG, "c2vl_serve"):
        client.post("/predict", json={**SKELETON, "joints": [[joint] * 20] * 30})
        client.post("/predict", json={**SKELETON, "joints": [[joint] * 19] * 30})
    told = [line for line in caplog.records if line.name == "c2vl_serve.service.access"]
    assert (told[0].input, told[0].frames, told[0].persons) == ("json", 30, 1)  # type: ignore[attr-defined]
    assert "1234.5" not in caplog.text


def test_openapi_describes_the_four_body_forms(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
    assert list(operation["requestBody"]["content"]) == [
        "application/json",
        "application/x-npy",
        "multipart/form-data",
        "video/*",
    ]
    names = {parameter["name"] for parameter in operation["parameters"]}
    assert names == {
        "top_k",
        "window",
        "stride",
        "persons",
        "layout",
        "fps",
        "up",
        "draw",
        "labels",
        "joints",
    }
    assert {"200", "400", "401", "408", "413", "415", "422", "503"} <= set(operation["responses"])
    answer = operation["responses"]["422"]["content"]
    assert list(answer) == ["application/problem+json"]
