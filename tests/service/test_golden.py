"""The golden sample over HTTP: torch = ONNX Runtime = the service's answer."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.skeleton.preprocessing import preprocess
from c2vl_serve.skeleton.sampling import probabilities, summed_up

CHECKPOINT = Path(__file__).parents[2] / "training" / "checkpoints" / "everyday.safetensors"


def test_http_gives_what_torch_gives() -> None:
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from c2vl_training.checkpoint import read_checkpoint

    recognizer = ActionRecognizer.load("everyday")
    golden, card = recognizer.bundle.golden, recognizer.bundle.card
    x = preprocess(golden.sequence, card.preprocessing)
    with torch.no_grad():
        logits, _ = read_checkpoint(CHECKPOINT).model(torch.from_numpy(x))
    seen = x[:, -1].any(axis=(2, 3)).sum(axis=1).astype("float32")
    scores = summed_up(probabilities(logits.numpy(), card.calibration.temperature), seen, card.idle)
    body = {
        "joints": golden.sequence.joints.tolist(),
        "visibility": golden.sequence.visibility.tolist(),
        "layout": golden.sequence.layout.name,
        "fps": golden.sequence.fps,
    }
    with TestClient(create_app(ServiceSettings(pose_workers=0), recognizer)) as client:
        answer = client.post("/predict", params={"top_k": 50}, json=body)
    assert answer.status_code == 200, answer.text
    for action in answer.json()["actions"]:
        expected = scores[card.labels.index(action["label"])]
        assert action["score"] == pytest.approx(expected, abs=1e-4)
