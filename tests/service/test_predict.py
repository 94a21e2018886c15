"""``POST /predict`` as a client sees it: four body forms, one answer, a sentence for each fault."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from c2vl_serve.skeleton.layout import KINECT20

T = 24
JOINTS = np.cumsum(np.random.default_rng(5).normal(0, 0.03, (T, 1, 20, 3)), 0).astype(np.float32)
TOLD = {"layout": "kinect20", "fps": "30"}


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def csv() -> bytes:
    columns = [f"{joint}_{axis}" for joint in KINECT20.joints for axis in "xyz"]
    lines = [",".join(["frame", "time", "person", *columns])]
    for frame in range(T):
        lines.append(",".join(map(str, [frame, frame / 30, 0, *JOINTS[frame].ravel()])))
    return "\n".join(lines).encode()


def ntu() -> bytes:
    lines = [str(T)]
    for frame in range(T):
        lines += ["1", "72057594037931101 0 1 1 1 1 0 -0.4 0.1 2", "25"]
        lines += [f"{joint * 0.1} {frame * 0.01} 3 0 0 0 0 0 0 0 0 2" for joint in range(25)]
    return "\n".join(lines).encode()


SKELETON = {"joints": JOINTS[:, 0].tolist(), "layout": "kinect20", "fps": 30}
PACKED = {
    "joints": base64.b64encode(JOINTS.tobytes()).decode(),
    "shape": list(JOINTS.shape),
    "encoding": "base64",
    "layout": "kinect20",
    "fps": 30,
}
FLAT = {**SKELETON, "joints": JOINTS.ravel().tolist(), "shape": list(JOINTS.shape)}
NPY = {"content-type": "application/x-npy"}

SAME: dict[str, dict[str, Any]] = {
    "nested": {"json": SKELETON},
    "with persons": {"json": {**SKELETON, "joints": JOINTS.tolist()}},
    "flat": {"json": FLAT},
    "base64": {"json": PACKED},
    "npy": {"content": npy(JOINTS), "headers": NPY, "params": TOLD},
    "npy, one person": {"content": npy(JOINTS[:, 0]), "headers": NPY, "params": TOLD},
    "npy, fortran": {
        "content": npy(np.asfortranarray(JOINTS, ">f8")),
        "headers": NPY,
        "params": TOLD,
    },
    "file .npy": {"files": {"file": ("clip.mp4", npy(JOINTS))}, "params": TOLD},
    "file .npz": {
        "files": {"file": ("clip", npz(joints=JOINTS, fps=30.0, layout="kinect20"))},
    },
    "file .json": {"files": {"file": ("clip.npy", json.dumps(SKELETON).encode())}},
    "file .csv": {"files": {"file": ("clip.txt", csv(), "video/mp4")}, "params": {"fps": "30"}},
}


@pytest.mark.parametrize("request_", SAME.values(), ids=SAME)
def test_each_form_of_the_same_skeleton_gets_the_same_answer(
    client: TestClient, request_: dict[str, Any]
) -> None:
    expected = client.post("/predict", json=SKELETON).json()
    answer = client.post("/predict", **request_)
    assert answer.status_code == 200, answer.text
    got = answer.json()
    assert got["actions"] == expected["actions"]
    assert got["persons"] == expected["persons"]
    assert got["frames"] == {"read": T, "used": T, "fps": 30.0, "complete": True}


def test_the_answer_is_what_the_contract_says(client: TestClient) -> None:
    answer = client.post("/predict", json=SKELETON, params={"top_k": 2})
    assert answer.headers["content-type"] == "application/json"
    got = answer.json()
    assert list(got) == [
        "bundle",
        "runtime",
        "actions",
        "recognised",
        "persons",
        "frames",
        "notes",
        "timing_ms",
    ]
    assert got["runtime"] == "onnxruntime/CPUExecutionProvider"
    assert list(got["timing_ms"]) == ["decode", "pose", "preprocess", "inference", "total"]
    assert got["timing_ms"]["total"] >= got["timing_ms"]["inference"] > 0
    (person,) = got["persons"]
    assert list(person) == ["id", "actions", "recognised", "windows", "segments"]
    assert person["actions"] == got["actions"]
    assert len(got["actions"]) == 2
    assert [list(action) for action in got["actions"]] == [["label", "score"]] * 2
    scores = [action["score"] for action in got["actions"]]
    assert 1 >= scores[0] >= scores[1] >= 0


def test_an_ntu_file_needs_nothing_said(client: TestClient) -> None:
    answer = client.post("/predict", files={"file": ("S001.skeleton", ntu())})
    assert answer.status_code == 200, answer.text
    assert answer.json()["frames"] == {"read": T, "used": T, "fps": 30.0, "complete": True}


def test_persons_and_windows(client: TestClient) -> None:
    three = np.concatenate([JOINTS, JOINTS + 1, JOINTS - 1], axis=1).repeat(8, axis=0)
    content = npy(three)
    answers = {
        persons: client.post(
            "/predict", content=content, headers=NPY, params={**TOLD, "persons": persons}
        ).json()
        for persons in (1, 2, 3)
    }
    assert [len(answer["persons"]) for answer in answers.values()] == [1, 2, 3]
    timeline = client.post(
        "/predict", content=content, headers=NPY, params={**TOLD, "window": 2, "stride": 1}
    ).json()
    windows = timeline["persons"][0]["windows"]
    assert windows[0]["start"] == 0
    assert list(windows[0]) == ["start", "end", "actions", "recognised"]


def test_a_layout_of_ones_own_and_an_up_axis_are_taken(client: TestClient) -> None:
    parents = [None if p == -1 else KINECT20.joints[p] for p in KINECT20.parents]
    own = {"name": "mine", "joints": dict(zip(KINECT20.joints, parents, strict=True))}
    expected = client.post("/predict", json=SKELETON).json()["actions"]
    got = client.post("/predict", json={**SKELETON, "layout": own})
    assert got.json()["actions"] == expected
    turned = {**SKELETON, "joints": (JOINTS[:, 0] * [-1, -1, 1]).tolist(), "up": "-y"}
    upright = client.post("/predict", json=turned).json()["actions"]
    assert [action["label"] for action in upright] == [action["label"] for action in expected]
    scores = [action["score"] for action in expected]
    assert [action["score"] for action in upright] == pytest.approx(scores, abs=1e-4)


def test_draw_is_noted_where_there_is_nothing_to_draw_on(client: TestClient) -> None:
    notes = client.post("/predict", json=SKELETON, params={"draw": "true"}).json()["notes"]
    assert "draw applies to videos; a skeleton has no picture" in notes


# --- faults --------------------------------------------------------------------------------------


def as_json(text: str | bytes) -> dict[str, Any]:
    return {"content": text, "headers": {"content-type": "application/json"}}


def as_npy(content: bytes, **params: str) -> dict[str, Any]:
    return {"content": content, "headers": NPY, "params": {**TOLD, **params}}


def form(*parts: tuple[str, str | None, bytes], **params: str) -> dict[str, Any]:
    """A multipart body from (name, file name, content) parts."""
    body = b""
    for name, filename, content in parts:
        named = f'; filename="{filename}"' if filename is not None else ""
        body += b'--limit\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
            name.encode(),
            named.encode(),
            content,
        )
    return {
        "content": body + b"--limit--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=limit"},
        "params": params,
    }


def typed(content: bytes, content_type: str, **headers: str) -> dict[str, Any]:
    return {"content": content, "headers": {"content-type": content_type, **headers}}


def changed(**changes: Any) -> dict[str, Any]:
    return {"json": {**SKELETON, **changes}}


OBJECTS = np.array([{}], dtype=object)
Fault = tuple[dict[str, Any], int, str, str | None]
FAULTS: dict[str, Fault] = {
    # JSON
    "json empty": (as_json(""), 400, "the body is empty", None),
    "json cut short": (as_json('{"joints": [[1'), 400, "the body is not JSON: ", "#"),
    "json not utf-8": (as_json(b'{"layout": "\xff"}'), 400, "the body is not JSON", "#"),
    "json NaN": (as_json('{"joints": [[[NaN]]]}'), 400, "the body is not JSON", "#"),
    "json Infinity": (as_json('{"joints": [[[-Infinity]]]}'), 400, "the body is not JSON", "#"),
    "json deep": (as_json("[" * 50_000), 400, "the body is not JSON", "#"),
    "json list": (as_json("[]"), 422, "the body is a list of 0; expected an object", "#"),
    "json huge number": (
        as_json(json.dumps(SKELETON).replace("30}", "1e999}")),
        400,
        "the body is not JSON",
        "#",
    ),
    "joints ragged": (
        changed(joints=[[[1, 2, 3]] * 20, [[1, 2, 3]] * 19]),
        422,
        "a list of 19",
        "#/joints/1",
    ),
    "joints null": (changed(joints=[[[None, 1, 1]] * 20]), 422, "is null", "#/joints/0/0/0"),
    "joints text": (changed(joints=[[["1", 1, 1]] * 20]), 422, "the text '1'", "#/joints/0/0/0"),
    "joints bool": (changed(joints=[[[True, 1, 1]] * 20]), 422, "is true", "#/joints/0/0/0"),
    "joints deep": (changed(joints=[[[[[1]]]]]), 422, "nested too deep", "#/joints"),
    "joints none": (changed(joints=[]), 422, "nested 1 deep", "#/joints"),
    "joints huge": (changed(joints=[[[1e300] * 3] * 20]), 422, "NaN or infinite", "#/joints"),
    "joint count": (
        changed(layout="ntu25"),
        422,
        "20 joints but layout 'ntu25' has 25",
        "#/joints",
    ),
    "layout unknown": (changed(layout="kinect"), 422, "unknown layout 'kinect'; known", "#/layout"),
    "layout missing": (
        {"json": {"joints": [], "fps": 30}},
        422,
        "does not say which layout",
        "#/layout",
    ),
    "fps zero": (changed(fps=0), 422, "fps is 0; expected more than 0", "#/fps"),
    "fps negative": (changed(fps=-1), 422, "fps is -1", "#/fps"),
    "fps text": (changed(fps="fast"), 422, "fps is the text 'fast'", "#/fps"),
    "fps huge": (changed(fps=1e12), 422, "at most 1000", "#/fps"),
    "fps tiny": (changed(fps=1e-9), 422, "at most 3600 s", "#/fps"),
    "key unknown": (changed(fsp=30), 422, "unknown key 'fsp'", "#/fsp"),
    "base64 broken": (
        {"json": {**PACKED, "joints": "%%%"}},
        422,
        "joints is not base64",
        "#/joints",
    ),
    "base64 nan": (
        {"json": {**PACKED, "joints": base64.b64encode(b"\xff" * JOINTS.nbytes).decode()}},
        422,
        "NaN or infinite",
        "#/joints",
    ),
    "shape mismatch": (
        {"json": {**PACKED, "shape": [T, 1, 20, 2]}},
        422,
        "needs 960",
        "#/joints",
    ),
    "shape negative": ({"json": {**PACKED, "shape": [-1, 1, 20, 3]}}, 422, "shape is", "#/shape"),
    "shape huge": (
        {"json": {**PACKED, "shape": [20_000, 10, 20, 3]}},
        422,
        "needs 12000000",
        "#/joints",
    ),
    "shape immense": (
        {"json": {**PACKED, "shape": [2**62, 1, 20, 3]}},
        422,
        "shape is",
        "#/shape",
    ),
    "visibility": (changed(visibility=[[2] * 20] * T), 422, "outside 0..1", "#/visibility"),
    # .npy
    "npy empty": (as_npy(b""), 400, "the body is empty", None),
    "npy not": (as_npy(b"{}"), 422, "not a .npy file", None),
    "npy truncated": (as_npy(npy(JOINTS)[:-1]), 422, "cut short", None),
    "npy pickled": (as_npy(npy(OBJECTS)), 422, "unpickled and never are", None),
    "npy text": (as_npy(npy(np.array(["x"]))), 422, "expected floats or integers", None),
    "npy five dimensions": (as_npy(npy(JOINTS[None])), 422, "5 dimensions", None),
    "npy no frames": (as_npy(npy(JOINTS[:0])), 422, "joints are empty", None),
    "npy NaN": (as_npy(npy(JOINTS * np.nan)), 422, "NaN or infinite", None),
    "npy no layout": (
        {"content": npy(JOINTS), "headers": NPY, "params": {"fps": "30"}},
        422,
        "say it with layout=NAME",
        None,
    ),
    "npy no fps": (
        {"content": npy(JOINTS), "headers": NPY, "params": {"layout": "kinect20"}},
        422,
        "say it with fps=NUMBER",
        None,
    ),
    # multipart
    "form no boundary": (typed(b"x", "multipart/form-data"), 400, "Missing boundary", None),
    "form garbage": (
        typed(b"garbage", "multipart/form-data; boundary=limit"),
        400,
        "the multipart body cannot be read",
        None,
    ),
    "form empty": (
        typed(b"", "multipart/form-data; boundary=limit"),
        422,
        "the form has 0 files",
        "#/file",
    ),
    "form other field": (form(("clip", "a", b"x")), 422, "a field 'clip'", "#/file"),
    "form text field": (form(("file", None, b"x")), 422, "text without a file name", "#/file"),
    "form extra field": (
        form(("file", "a", npy(JOINTS)), ("layout", None, b"kinect20")),
        422,
        "a field 'layout'; send only 'file', and the rest in the query",
        "#/file",
    ),
    "form two files": (
        form(("file", "a", npy(JOINTS)), ("file", "b", npy(JOINTS))),
        422,
        "the form has 2 files",
        "#/file",
    ),
    "form many files": (form(*[("file", "a", b"x")] * 3), 400, "Too many files", None),
    "form many fields": (form(*[("x", None, b"x")] * 20), 400, "Too many fields", None),
    "form empty file": (form(("file", "a.mp4", b"")), 422, "the file is empty", "#/file"),
    "form bad json": (form(("file", "a.json", b"{")), 422, "the file is not JSON", None),
    "form bad npz": (form(("file", "a", b"PK\x03\x04")), 422, "cannot be unpacked", None),
    # none of them
    "no type": ({"content": b"x"}, 415, "the Content-Type is 'missing'", None),
    "text": (typed(b"x", "text/plain"), 415, "send one of application/json", None),
    "octets": (typed(b"x", "application/octet-stream"), 415, "curl: -F file=@PATH", None),
    "packed": (
        {
            **as_json("{}"),
            "headers": {"content-type": "application/json", "content-encoding": "gzip"},
        },
        415,
        "the Content-Encoding is 'gzip'",
        None,
    ),
}


@pytest.mark.parametrize(("request_", "status", "sentence", "pointer"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_a_problem_with_a_sentence(
    client: TestClient, request_: dict[str, Any], status: int, sentence: str, pointer: str | None
) -> None:
    answer = client.post("/predict", **request_)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert sentence in problem["detail"]
    assert problem["type"] == "about:blank"
    assert problem["title"]
    pointers = [error["pointer"] for error in problem.get("errors", [])]
    assert pointers == ([] if pointer is None else [pointer])


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"top_k": "0"}, "top_k"),
        ({"top_k": "many"}, "top_k"),
        ({"persons": "11"}, "persons"),
        ({"window": "-1"}, "window"),
        ({"window": "nan"}, "window"),
        ({"stride": "0"}, "stride"),
        ({"stride": "inf"}, "stride"),
        ({"fps": "0"}, "fps"),
        ({"fps": "NaN"}, "fps"),
        ({"fps": "1e9"}, "fps"),
        ({"fps": "fast"}, "fps"),
        ({"layout": "ntu26"}, "layout"),
        ({"layout": ""}, "layout"),
        ({"up": "y"}, "up"),
        ({"draw": "perhaps"}, "draw"),
    ],
)
def test_a_bad_query_names_the_parameter(
    client: TestClient, params: dict[str, str], parameter: str
) -> None:
    answer = client.post("/predict", json=SKELETON, params=params)
    problem = answer.json()
    assert answer.status_code == 422
    assert [error["parameter"] for error in problem["errors"]] == [parameter]
    assert f"{parameter}: " in problem["detail"]


def test_a_timeline_of_too_many_windows_is_refused(client: TestClient) -> None:
    content = npy(np.zeros((15_000, 20, 3), np.float32))
    params = {"layout": "kinect20", "fps": "30", "window": "2", "stride": "0.1"}
    answer = client.post("/predict", content=content, headers=NPY, params=params)
    assert answer.status_code == 422
    assert "ask for a longer stride" in answer.json()["detail"]


def test_json_of_brackets_is_refused_before_it_takes_memory(client: TestClient) -> None:
    answer = client.post("/predict", **as_json(b'{"joints": [' + b"[]," * 4_000_000 + b"[]]}"))
    assert answer.status_code == 422
    assert "more than 4000000 lists; send joints as a flat list" in answer.json()["detail"]


def test_a_body_in_chunks_is_read_whole(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        text = json.dumps(SKELETON).encode()
        for start in range(0, len(text), 1000):
            yield text[start : start + 1000]

    answer = client.post("/predict", **typed(parts(), "application/json; charset=utf-8"))
    assert answer.status_code == 200
