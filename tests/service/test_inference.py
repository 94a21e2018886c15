"""The Open Inference Protocol: JSON and raw tensors in and out, and its form of errors."""

import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.inference_tensors import MAX_WINDOWS
from c2vl_serve.skeleton.preprocessing import preprocess

SHAPE = (10, 16, 15, 1)
INFER = "/v2/models/tiny/infer"


def tensor(num_windows: int = 2) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).normal(size=(num_windows, *SHAPE)).astype(np.float32)


def body(x: np.ndarray[Any, Any], **changes: Any) -> dict[str, Any]:
    entry = {"name": "x", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    return {"inputs": [{**entry, **changes}]}


def binary(x: np.ndarray[Any, Any], **changes: Any) -> dict[str, Any]:
    """A request with raw bytes, as tritonclient writes it."""
    entry = {
        "name": "x",
        "datatype": "FP32",
        "shape": list(x.shape),
        "parameters": {"binary_data_size": x.nbytes, **changes},
    }
    head = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    return {
        "content": head + x.tobytes(),
        "headers": {"Inference-Header-Content-Length": str(len(head))},
    }


def test_the_server_and_its_model_tell_what_they_are(client: TestClient) -> None:
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 200
    server = client.get("/v2").json()
    assert (server["name"], server["extensions"]) == ("c2vl-serve", ["binary_tensor_data"])
    for path in ("/v2/models/tiny", "/v2/models/tiny/versions/1.0.0"):
        assert client.get(f"{path}/ready").status_code == 200
        assert client.get(path).json() == {
            "name": "tiny",
            "versions": ["1.0.0"],
            "platform": "onnxruntime/CPUExecutionProvider",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, *SHAPE]}],
            "outputs": [
                {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "representation", "datatype": "FP32", "shape": [-1, -1]},
            ],
        }


def test_the_golden_sample_gives_its_logits(
    client: TestClient, recognizer: ActionRecognizer
) -> None:
    golden = recognizer.bundle.golden
    x = preprocess(golden.sequence, recognizer.bundle.card.preprocessing)
    answer = client.post(INFER, json={**body(x), "id": "g"}).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("tiny", "1.0.0", "g")
    logits, representation = answer["outputs"]
    assert logits["shape"] == list(golden.logits.shape)
    np.testing.assert_allclose(logits["data"], golden.logits.ravel(), atol=1e-5)
    assert np.linalg.norm(representation["data"]) == pytest.approx(1, abs=1e-5)


def test_flat_nested_and_raw_tensors_get_the_same_numbers(
    client: TestClient, recognizer: ActionRecognizer
) -> None:
    x = tensor()
    expected, *_ = recognizer.runtime.run(x)
    for request in (body(x), body(x, data=x.tolist())):
        asked = {**request, "outputs": [{"name": "logits"}]}
        (output,) = client.post(INFER, json=asked).json()["outputs"]
        np.testing.assert_array_equal(np.float32(output["data"]).reshape(2, 3), expected)
    answer = client.post("/v2/models/tiny/versions/1.0.0/infer", **binary(x))
    length = int(answer.headers["inference-header-content-length"])
    told = json.loads(answer.content[:length])
    sizes = [output["parameters"]["binary_data_size"] for output in told["outputs"]]
    assert len(answer.content) == length + sum(sizes)
    logits = np.frombuffer(answer.content[length : length + sizes[0]], "<f4").reshape(2, 3)
    np.testing.assert_array_equal(logits, expected)


X = tensor(1)
WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "no JSON": ({"content": b"{"}, 400, "the body is not JSON"),
    "a list": ({"json": []}, 422, "expected an object with inputs"),
    "no input": ({"json": {"inputs": []}}, 422, "expected one tensor, 'x'"),
    "another input": ({"json": body(X, name="y")}, 422, "name is the text 'y'; expected 'x'"),
    "another type": ({"json": body(X, datatype="INT8")}, 422, "expected 'FP32'"),
    "another shape": ({"json": body(X, shape=[1, 2, 3])}, 422, "expected [N, 10, 16, 15, 1]"),
    "no windows": ({"json": body(X, shape=[0, *SHAPE], data=[])}, 422, "0 windows; expected 1"),
    "too many": ({"json": body(X, shape=[10**9, *SHAPE])}, 422, f"1 to {MAX_WINDOWS} in"),
    "too few numbers": ({"json": body(X, data=[1.0])}, 422, "this shape needs 2400"),
    "text": ({"json": body(X, data=["a"])}, 422, "expected a number"),
    "infinite": ({"json": body(X, data=[1e39] * X.size)}, 422, "NaN or infinite"),
    "too large": ({"json": body(X, data=[3e38] * X.size)}, 422, "not finite; the input is too"),
    "unknown output": ({"json": {**body(X), "outputs": [{"name": "z"}]}}, 422, "known are logits"),
    "output twice": ({"json": {**body(X), "outputs": [{"name": "logits"}] * 2}}, 422, "each once"),
    "parameters": ({"json": {**body(X), "parameters": 5}}, 422, "expected an object"),
    "an id": ({"json": {**body(X), "id": 5}}, 422, "expected text"),
    "short tail": (binary(X, binary_data_size=4), 422, "expected 9600 for this shape"),
    "tail unclaimed": (
        {**binary(X), "content": json.dumps(body(X)).encode() + b"1234", "headers": {
            "Inference-Header-Content-Length": str(len(json.dumps(body(X))))}},
        422, "4 bytes follow the JSON",
    ),
    "length": (
        {**binary(X), "headers": {"Inference-Header-Content-Length": "999999"}},
        400, "expected the JSON's length",
    ),
    "no length": ({**binary(X), "headers": {}}, 400, "need the header Inference-Header"),
    "compressed": ({"json": body(X), "headers": {"Content-Encoding": "gzip"}}, 415, "as it is"),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "sentence"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_as_a_problem_and_as_the_protocol_s_error(
    client: TestClient, request_: dict[str, Any], status: int, sentence: str
) -> None:
    answer = client.post(INFER, **request_)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert sentence in answer.json()["detail"]
    assert answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize("path", ["/other", "/tiny/versions/2", "/other/ready"])
def test_another_model_is_not_here(client: TestClient, path: str) -> None:
    answer = client.get(f"/v2/models{path}")
    assert answer.status_code == 404
    assert "'tiny' version 1.0.0 is" in answer.json()["error"]
