"""Every file type: examples by hand, round trips, and everything a file can do wrong."""

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats import (
    FieldError,
    ReadOptions,
    SequenceLimits,
    read_sequence,
    sequence_from_dict,
    sniff,
    write_sequence,
)
from c2vl_serve.skeleton.layout import COCO17, KINECT20, LAYOUTS, NTU25, layout_from_dict
from c2vl_serve.skeleton.sequence import SkeletonSequence

STICK = layout_from_dict(
    {"name": "stick", "joints": {"hip": None, "l_hand": "hip", "r_hand": "hip"}, "up": "+z"}
)
TOLD = ReadOptions(layout=KINECT20, fps=30.0)


def some_joints(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def as_npy(array: np.ndarray[Any, Any], *, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def as_npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def ntu_text(frames: list[dict[int, float]], state: int = 2) -> str:
    """A ``.skeleton`` file: for each frame the bodies by id, all their joints at (x, 1, 2)."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body_id, x in bodies.items():
            lines += [f"{body_id} 0 1 1 1 1 0 0.1 0.2 2", "25"]
            lines += [f"{x} 1 2 10 20 30 40 0 0 0 0 {state}"] * 25
    return "\n".join(lines) + "\n"


# --- round trips ---------------------------------------------------------------------------------


SIZES = st.fixed_dictionaries(
    {
        "layout": st.sampled_from([*LAYOUTS.values(), STICK]),
        "T": st.integers(2, 5),
        "M": st.integers(1, 3),
        "C": st.sampled_from([2, 3]),
        "fps": st.floats(1, 240),
        "first_id": st.integers(0, 9),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def sequence_of(sizes: dict[str, Any]) -> SkeletonSequence:
    layout, T, M, C = (sizes[name] for name in ("layout", "T", "M", "C"))
    rng = np.random.default_rng(sizes["seed"])
    shape = (T, M, layout.num_joints)
    return SkeletonSequence(
        joints=(rng.normal(size=(*shape, C)) * 10.0 ** rng.integers(-6, 6)).astype(np.float32),
        visibility=rng.uniform(size=shape).astype(np.float32),
        fps=sizes["fps"],
        layout=layout,
        person_ids=tuple(range(sizes["first_id"], sizes["first_id"] + M)),
    )


@pytest.mark.parametrize("suffix", [".npz", ".json", ".csv"])
def test_what_is_written_is_read_back(
    suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("formats") / f"clip{suffix}"

    @settings(max_examples=25, deadline=None)
    @given(sizes=SIZES)
    def check(sizes: dict[str, Any]) -> None:
        sequence = sequence_of(sizes)
        write_sequence(sequence, path)
        # A CSV names the joints, not the layout: one of your own has to be said.
        told = sequence.layout if suffix == ".csv" and sequence.layout is STICK else None
        back = read_sequence(path, ReadOptions(layout=told))
        np.testing.assert_array_equal(back.joints, sequence.joints)
        np.testing.assert_array_equal(back.visibility, sequence.visibility)
        assert back.layout == sequence.layout
        assert back.person_ids == sequence.person_ids
        assert back.fps == pytest.approx(sequence.fps, rel=1e-9)

    check()


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES)
def test_the_three_json_forms_are_the_same_sequence(sizes: dict[str, Any]) -> None:
    sequence = sequence_of(sizes)
    rest = {"layout": "kinect20", "fps": 30, "shape": list(sequence.joints.shape)}
    options = ReadOptions(layout=sequence.layout)
    nested = {"joints": sequence.joints.tolist(), "visibility": sequence.visibility.tolist()}
    flat = {
        "joints": sequence.joints.ravel().tolist(),
        "visibility": sequence.visibility.ravel().tolist(),
        **rest,
    }
    packed = {
        "joints": base64.b64encode(sequence.joints.tobytes()).decode(),
        "visibility": base64.b64encode(sequence.visibility.tobytes()).decode(),
        "encoding": "base64",
        **rest,
    }
    for body in ({**nested, "layout": "kinect20", "fps": 30}, flat, packed):
        back = sequence_from_dict(body, options)
        np.testing.assert_array_equal(back.joints, sequence.joints)
        np.testing.assert_array_equal(back.visibility, sequence.visibility)


def test_writing_an_unknown_type_names_the_known(tmp_path: Path) -> None:
    sequence = SkeletonSequence(joints=some_joints(2, 1, 20, 3), fps=30.0, layout=KINECT20)
    with pytest.raises(SequenceError, match=r"'clip\.bvh'; choose a name that ends in \.npz"):
        write_sequence(sequence, tmp_path / "clip.bvh")


# --- what the type is found from -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (as_npy(some_joints(2, 20, 3)), "npy"),
        (as_npz(joints=some_joints(2, 20, 3)), "npz"),
        (b'  \n{"joints": []}', "json"),
        (b"\xef\xbb\xbf[1]", "json"),
        (ntu_text([{7: 0.0}]).encode(), "ntu"),
        (ntu_text([{7: 0.0}]).replace("\n", "\r\n").encode(), "ntu"),
        (b"frame,person,hip_x\n0,0,1\n", "csv"),
        (b"\xef\xbb\xbfframe,time,person\n", "csv"),
        (b"", None),
        (b"\x00\x00\x00\x20ftypisom", None),
        (b"not a video, nor a frame of one\n", None),
        (b"12345", None),
    ],
)
def test_sniff(data: bytes, expected: str | None) -> None:
    assert sniff(data) == expected


def test_a_file_that_is_no_skeleton_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "clip.npy").write_bytes(b"hello")
    with pytest.raises(SequenceError, match=r"\(5 bytes\) is no skeleton file; expected \.skel"):
        read_sequence(tmp_path / "clip.npy")
    with pytest.raises(SequenceError, match=r"cannot read .*absent\.npy: No such file"):
        read_sequence(tmp_path / "absent.npy")


# --- NTU .skeleton -------------------------------------------------------------------------------


def test_ntu_bodies_keep_their_person_when_another_comes_and_goes() -> None:
    text = ntu_text([{900: 1.0}, {500: 5.0, 900: 2.0}, {}, {500: 6.0}])
    sequence = read_sequence(text.encode())
    assert (sequence.fps, sequence.layout, sequence.person_ids) == (30.0, NTU25, (0, 1))
    assert sequence.joints[:, 0, 3, 0].tolist() == [1, 2, 0, 0]
    assert sequence.joints[:, 1, 3, 0].tolist() == [0, 5, 0, 6]
    assert sequence.joints[0, 0, 24].tolist() == [1, 1, 2]
    assert sequence.visibility[:, 0, 0].tolist() == [1, 1, 0, 0]
    assert sequence.visibility[:, 1, 0].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(("state", "visibility"), [(0, 0.0), (1, 0.5), (2, 1.0)])
def test_ntu_tracking_state_is_visibility(state: int, visibility: float) -> None:
    sequence = read_sequence(ntu_text([{1: 0.0}], state=state).encode())
    assert np.unique(sequence.visibility).tolist() == [visibility]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ntu_text([{1: 0.0}] * 3)[:-400], "ends before|has . values"),
        ("5\n0\n0\n", "ends before the number of bodies in frame 2"),
        ("2\n0\n0\n", "nobody is seen in the 2 frames"),
        (ntu_text([{1: 0.0}]) + "1\n", "goes on after its 1 frames"),
        ("1\n1\n5 0 1 1 1 1 0 0 0 2\n20\n", "has 20 joints; expected 25"),
        ("1\n1\n5 0 1\n25\n", "has 3 values"),
        ("99999999\n1\n", "the number of frames is 99999999; at most 20000"),
        ("1\n99\n", "the number of bodies in frame 0 is 99; at most 10"),
        ("1\n1\n-\n", "has 1 values"),
        (ntu_text([{1: 0.0}]).replace(" 2\n", " 7\n"), "a tracking state 0, 1 or 2"),
        (ntu_text([{1: 0.0}]).replace("10 20", "x 20"), "not numbers: could not convert"),
        (ntu_text([dict.fromkeys(range(6), 0.0), dict.fromkeys(range(5, 12), 0.0)]), "12 persons"),
        (ntu_text([{1: float("nan")}]), "NaN or infinite"),
    ],
)
def test_damaged_ntu(text: str, message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        read_sequence(text.encode())


# --- .npy and .npz -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<f2", "i1", "<i8", ">i2", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_real_type_and_order(dtype: str, order: Any) -> None:
    joints = np.arange(4 * 20 * 3).reshape(4, 20, 3) % 100
    sequence = read_sequence(as_npy(np.asarray(joints, dtype, order)), TOLD)
    assert sequence.joints.dtype == np.float32
    np.testing.assert_array_equal(sequence.joints[:, 0], joints)


def test_npz_needs_only_joints_when_the_rest_is_said() -> None:
    sequence = read_sequence(as_npz(joints=some_joints(4, 2, 20, 3), subject=np.arange(9)), TOLD)
    assert (sequence.num_persons, sequence.fps, sequence.layout) == (2, 30.0, KINECT20)


def header(text: str, payload: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text.encode() + payload


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 20, 3)}"
BAD_NPY: dict[str, tuple[bytes, str]] = {
    "truncated": (
        as_npy(some_joints(4, 20, 3))[:-100],
        "860 bytes of data; .* needs 960.*cut short",
    ),
    "trailing": (as_npy(some_joints(4, 20, 3)) + b"more", "needs 960: the file is damaged"),
    "magic only": (b"\x93NUMPY", "format version"),
    "no header": (b"\x93NUMPY\x01\x00\xff\xff", "damaged in its header"),
    "not a literal": (header("__import__('os').abort()"), "damaged in its header"),
    "deep literal": (header("(" * 9000), "damaged in its header"),
    "missing key": (header("{'descr': '<f4'}"), "damaged in its header"),
    "a list": (header("[1, 2]"), "damaged in its header"),
    "version 3": (header(GOOD, version=b"\x03\x00"), "format version 03; versions 1 and 2"),
    "negative shape": (header(GOOD.replace("(2,", "(-2,")), "expected whole numbers"),
    "text shape": (header(GOOD.replace("(2,", "('2',")), "expected whole numbers"),
    "huge shape": (header(GOOD.replace("(2,", "(20000,")), "cut short"),
    "too many frames": (header(GOOD.replace("(2,", "(999999999999,")), "at most 20000"),
    "objects": (as_npy(np.array([{}, []], dtype=object), pickled=True), "never are"),
    "text": (as_npy(np.array(["a", "b"])), "holds the type '<U1'; expected floats"),
    "complex": (as_npy(np.zeros((2, 20, 3), complex)), "holds the type '<c16'"),
    "bool": (as_npy(np.zeros((2, 20, 3), bool)), r"holds the type '\|b1'"),
    "structured": (as_npy(np.zeros(4, [("x", "f4")])), "holds the type"),
    "nan": (as_npy(np.full((2, 20, 3), np.nan)), "NaN or infinite values, first at frame 0"),
    "too large for float32": (as_npy(np.full((2, 20, 3), 1e300)), "NaN or infinite"),
    "five dimensions": (as_npy(some_joints(1, 2, 1, 20, 3)), "have 5 dimensions"),
    "two dimensions": (as_npy(some_joints(2, 60)), r"have 2 dimensions, shape \(2, 60\)"),
    "zero frames": (as_npy(some_joints(0, 20, 3)), "joints are empty"),
    "wrong joints": (as_npy(some_joints(2, 25, 3)), "25 joints but layout 'kinect20' has 20"),
    "one coordinate": (as_npy(some_joints(2, 20, 1)), "1 coordinates; expected 2"),
    "many persons": (as_npy(some_joints(2, 11, 20, 3)), "11 persons; at most 10"),
}


@pytest.mark.parametrize(("data", "message"), BAD_NPY.values(), ids=BAD_NPY)
def test_bad_npy(data: bytes, message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        read_sequence(data, TOLD)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


JOINTS = as_npy(some_joints(2, 20, 3))
BAD_NPZ: dict[str, tuple[bytes, str]] = {
    "not a zip": (b"PK\x03\x04 but nothing more", "cannot be unpacked: File is not a zip"),
    "truncated": (as_npz(joints=some_joints(2, 20, 3))[:-30], "cannot be unpacked"),
    "damaged": (zipped({"joints.npy": JOINTS}, 0).replace(JOINTS[-9:], b"damage..."), "Bad CRC"),
    "no joints": (as_npz(poses=some_joints(2, 20, 3)), "no array 'joints'; it holds poses"),
    "empty": (b"PK\x05\x06" + bytes(18), "it holds nothing"),
    "bomb": (zipped({"joints.npy": bytes(97_000_000)}), "unpacks to 97000000 bytes; at most"),
    "small bomb": (zipped({"joints.npy": JOINTS, "fps.npy": bytes(99_999)}), "unpacks to 99999"),
    "lzma": (zipped({"joints.npy": JOINTS}, zipfile.ZIP_LZMA), "compressed in an unusual way"),
    "objects": (as_npz(joints=np.array([{}], dtype=object)), "never are"),
    "many members": (zipped({str(n): b"" for n in range(1001)}), "more than 1000 members"),
    "fps array": (as_npz(joints=some_joints(2, 20, 3), fps=np.ones(3)), "one value was expected"),
    "fps text": (as_npz(joints=some_joints(2, 20, 3), fps=np.array("30")), "holds the type"),
    "person ids": (
        as_npz(joints=some_joints(2, 20, 3), person_ids=np.arange(3)),
        r"shape \(3,\); expected 1 integers",
    ),
    "visibility": (
        as_npz(joints=some_joints(2, 20, 3), visibility=np.ones((2, 19))),
        r"visibility has shape \(2, 19\); expected \(2, 1, 20\)",
    ),
}


@pytest.mark.parametrize(("data", "message"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_npz(data: bytes, message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        read_sequence(data, TOLD)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (np.array("ntu26"), "unknown layout 'ntu26'; known are .*coco17"),
        (np.array('{"name": "x"'), "the array 'layout' cannot be read"),
        (np.array(b"\xff\xfe"), "the array 'layout' cannot be read"),
        (np.array(3.0), "holds the type '<f8'; expected text"),
        (np.array({}, dtype=object), "never are"),
    ],
)
def test_bad_npz_layout(layout: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        read_sequence(as_npz(joints=some_joints(2, 20, 3), fps=30.0, layout=layout))


# --- JSON ----------------------------------------------------------------------------------------


def body(**changes: Any) -> dict[str, Any]:
    whole = {"joints": some_joints(3, 20, 3).tolist(), "layout": "kinect20", "fps": 30}
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not ...}


def with_joint(value: Any, *place: int) -> dict[str, Any]:
    joints = some_joints(3, 20, 3).tolist()
    target = joints
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    return body(joints=joints)


LOOP = {"name": "loop", "joints": {"a": "b", "b": "a", "c": None}}
BAD_JSON: dict[str, tuple[object, str, str]] = {
    "a list": ([1, 2], "", "the body is a list of 2; expected an object"),
    "null": (None, "", "the body is null"),
    "typo": (body(visiblity=[]), "/visiblity", "unknown key 'visiblity'; known are joints"),
    "no joints": (body(joints=...), "/joints", "joints are missing"),
    "no layout": (body(layout=...), "/layout", "does not say which layout"),
    "no fps": (body(fps=...), "/fps", "does not say its frames per second"),
    "joints null": (body(joints=None), "/joints", "joints are missing"),
    "joints text": (body(joints="x"), "/shape", "base64 joints need their shape"),
    "joints number": (body(joints=3), "/joints", "joints is a int; expected a list"),
    "joints object": (body(joints={}), "/joints", "joints is an object"),
    "no frames": (body(joints=[]), "/joints", "nested 1 deep"),
    "frames without joints": (body(joints=[[], []]), "/joints", "nested 2 deep"),
    "no coordinates": (body(joints=[[[]] * 20]), "/joints", "joints are empty"),
    "ragged joints": (with_joint([1.0, 2.0], 1, 4), "/joints/1/4", "joints/1/4 is a list of 2; "),
    "ragged frames": (with_joint([[1.0] * 3] * 19, 2), "/joints/2", "expected a list of 20"),
    "number for a frame": (with_joint(1.0, 2), "/joints/2", "is the number 1; expected a list"),
    "null joint": (with_joint(None, 0, 7), "/joints/0/7", "is null; expected a list of 3"),
    "null coordinate": (with_joint(None, 0, 7, 1), "/joints/0/7/1", "send 0 with visibility 0"),
    "text coordinate": (with_joint("1", 0, 7, 1), "/joints/0/7/1", "the text '1'; expected a num"),
    "true coordinate": (with_joint(True, 2, 0, 0), "/joints/2/0/0", "is true; expected a number"),
    "list coordinate": (with_joint([1.0], 2, 0, 0), "/joints/2/0/0", "a list of 1; expected a num"),
    "nan": (with_joint(float("nan"), 1, 2, 0), "/joints", "first at frame 1, person 0, joint 'sh"),
    "infinite": (with_joint(float("inf"), 1, 2, 0), "/joints", "NaN or infinite"),
    "beyond float32": (with_joint(1e39, 1, 2, 0), "/joints", "NaN or infinite"),
    "beyond float": (with_joint(10**400, 1, 2, 0), "/joints", "too large for a float"),
    "too deep": (body(joints=[[[[[1.0]]]]]), "/joints", "nested too deep"),
    "too flat": (body(joints=[1.0] * 180), "/joints", "nested 1 deep"),
    "wrong joints": (body(layout="ntu25"), "/joints", "20 joints but layout 'ntu25' has 25"),
    "one coordinate": (body(joints=[[[1.0]] * 20]), "/joints", "have 1 coordinates"),
    "many persons": (body(joints=[[[[1, 2, 3]] * 20] * 11]), "/joints", "11 persons"),
    "many frames": (body(joints=[0] * 20_001), "/joints", "20001 frames; at most 20000"),
    "layout unknown": (body(layout="ntu"), "/layout", "unknown layout 'ntu'; known are .*coco17"),
    "layout number": (body(layout=25), "/layout", "layout is a int; expected one of .*coco17"),
    "layout list": (body(layout=[]), "/layout", "layout is a list of 0"),
    "layout without joints": (body(layout={"name": "x"}), "/layout", "has the keys name"),
    "layout loop": (body(layout=LOOP), "/layout", "expected a tree"),
    "layout parent": (
        body(layout={"name": "x", "joints": {"a": None, "b": ["a"]}}),
        "/layout/joints",
        "the parent of joint 'b' is a list of 1",
    ),
    "layout up": (body(layout={**LOOP, "up": ["+y"]}), "/layout/up", "up is a list of 1"),
    "layout too large": (
        body(layout={"name": "x", "joints": {str(n): None for n in range(257)}}),
        "/layout/joints",
        "257 joints; at most 256",
    ),
    "fps text": (body(fps="30"), "/fps", "fps is the text '30'"),
    "fps true": (body(fps=True), "/fps", "fps is true"),
    "fps zero": (body(fps=0), "/fps", "fps is 0; expected more than 0"),
    "fps negative": (body(fps=-30), "/fps", "fps is -30"),
    "fps nan": (body(fps=float("nan")), "/fps", "fps is nan"),
    "fps huge": (body(fps=1e9), "/fps", r"fps is 1e\+09; .* at most 1000"),
    "fps beyond float": (body(fps=10**400), "/fps", "fps is too large"),
    "fps tiny": (body(fps=1e-6), "/fps", "3 frames at 1e-06 fps last 3000000 s; at most 3600"),
    "up": (body(up="y"), "/up", r"up is the text 'y'; expected one of \+y"),
    "visibility short": (body(visibility=[[1] * 20] * 2), "/visibility", r"shape \(2, 20\)"),
    "visibility range": (body(visibility=[[1.5] * 20] * 3), "/visibility", r"outside 0\.\.1"),
    "visibility nan": (body(visibility=[[float("nan")] * 20] * 3), "/visibility", "outside"),
    "visibility null": (body(visibility=[[None] * 20] * 3), "/visibility/0/0", "is null"),
    "visibility object": (body(visibility={}), "/visibility", "visibility is an object"),
    "encoding": (body(encoding="hex"), "/encoding", "encoding is the text 'hex'"),
    "encoding without shape": (body(encoding="base64"), "/shape", "need their shape"),
    "shape text": (body(shape="3x20x3"), "/shape", "shape is 3x20x3; expected"),
    "shape negative": (body(shape=[-1, 20, 3]), "/shape", r"shape is \[-1, 20, 3\]"),
    "shape floats": (body(shape=[3.0, 20, 3]), "/shape", "whole numbers"),
    "shape bools": (body(shape=[True, 20, 3]), "/shape", "whole numbers"),
    "shape short": (body(shape=[20, 3]), "/shape", "expected .T, M, V, C. or"),
    "shape huge": (body(shape=[2**31, 20, 3]), "/shape", "shape is"),
    "shape many": (body(joints=[1.0], shape=[20_000, 10, 20, 3]), "/joints", "holds 1 numbers; "),
    "shape frames": (body(joints=[1.0], shape=[10**9, 20, 3]), "/joints", "at most 20000"),
    "shape zero": (body(joints=[], shape=[0, 20, 3]), "/joints", "joints are empty"),
    "shape and nested": (body(shape=[3, 20, 3]), "/joints", "nested too deep; expected a flat"),
    "person ids": (body(person_ids=[1, 2]), "/person_ids", "expected 1 distinct whole numbers"),
    "person ids twice": (body(person_ids=[[]]), "/person_ids", "expected 1 distinct"),
    "base64 shape": (
        body(joints="AAAA" * 80, encoding="base64", shape=[3, 20, 3]),
        "/joints",
        "holds 60 numbers; shape .3, 20, 3. needs 180",
    ),
    "base64 odd": (
        body(joints="AAAA", encoding="base64", shape=[3, 20, 3]),
        "/joints",
        "decodes to 3 bytes",
    ),
    "base64 broken": (
        body(joints="!" * 8, encoding="base64", shape=[3, 20, 3]),
        "/joints",
        "joints is not base64",
    ),
    "base64 unicode": (
        body(joints="ä", encoding="base64", shape=[3, 20, 3]),
        "/joints",
        "joints is not base64",
    ),
    "base64 list": (
        body(encoding="base64", shape=[3, 20, 3]),
        "/joints",
        "joints is a list of 3; expected base64 text",
    ),
}


@pytest.mark.parametrize(("value", "pointer", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_points_at_the_fault(value: object, pointer: str, message: str) -> None:
    with pytest.raises(FieldError, match=message) as caught:
        sequence_from_dict(value, ReadOptions())
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"joints": nul}', "{\xff}", "{'a': 1}"])
def test_a_json_file_that_is_not_json(text: str) -> None:
    with pytest.raises(SequenceError, match="is not JSON|is not UTF-8"):
        read_sequence(text.encode("latin-1"))


def test_a_description_of_a_layout_may_stand_for_its_name() -> None:
    description = {"name": "stick", "joints": {"hip": None, "l_hand": "hip", "r_hand": "hip"}}
    whole = {"joints": some_joints(2, 3, 2).tolist(), "layout": description, "fps": 25, "up": "-y"}
    sequence = read_sequence(json.dumps(whole).encode())
    assert sequence.layout.joints == ("hip", "l_hand", "r_hand")
    assert sequence.layout.up == "-y"
    assert sequence.joints.shape == (2, 1, 3, 2)


def test_what_the_caller_says_wins() -> None:
    options = ReadOptions(layout=COCO17, fps=12.5, up="+y")
    whole = {"joints": some_joints(2, 17, 2).tolist(), "layout": "h36m17", "fps": 25}
    sequence = sequence_from_dict(whole, options)
    assert (sequence.layout.name, sequence.layout.up, sequence.fps) == ("coco17", "+y", 12.5)


def test_limits_are_the_callers() -> None:
    options = ReadOptions(limits=SequenceLimits(frames=2))
    with pytest.raises(SequenceError, match="3 frames; at most 2"):
        sequence_from_dict(body(), options)


# --- CSV -----------------------------------------------------------------------------------------

CSV_JOINTS = [f"{joint}_{axis}" for joint in reversed(KINECT20.joints) for axis in "xyz"]


def csv_text(
    rows: list[list[Any]], leading: str = "frame,time,person", joints: list[str] = CSV_JOINTS
) -> str:
    lines = [",".join([leading, *joints])]
    for row in rows:
        lines.append(",".join(map(str, [*row, *range(len(joints))])))
    return "\n".join(lines)


def test_csv_joints_are_found_by_name_and_absent_rows_are_not_seen() -> None:
    rows = [[12, 0.08, 1], [10, 0.0, 4], [10, 0.0, 1], [11, 0.04, 4]]
    sequence = read_sequence(csv_text(rows).encode())
    assert (sequence.layout, sequence.person_ids) == (KINECT20, (1, 4))
    assert sequence.fps == pytest.approx(25)
    # The last joint of the layout is the first of the file.
    assert sequence.joints[0, 0, -1].tolist() == [0, 1, 2]
    assert sequence.joints[0, 0, 0].tolist() == [57, 58, 59]
    assert sequence.visibility[:, :, 0].tolist() == [[1, 1], [0, 1], [1, 0]]


ROW = [0, 0.0, 0]
BAD_CSV: dict[str, tuple[str, str]] = {
    "no rows": (csv_text([]), "has a header but no rows"),
    "unknown joints": ("frame,person,a_x,a_y\n0,0,1,1", "does not say which layout"),
    "no person": (csv_text([[0, 0.0]], "frame,time"), "missing person"),
    "missing column": (csv_text([ROW], joints=CSV_JOINTS[:-1]), "missing hip_center_z"),
    "unknown column": (csv_text([ROW], joints=[*CSV_JOINTS, "mood"]), "unknown or twice mood"),
    "twice": (csv_text([[*ROW, 0]], "frame,time,person,person"), "does not fit layout"),
    "short row": (
        csv_text([ROW]) + "\n1,0.1,0",
        "line 3 of the CSV has 3 cells; the header has 63",
    ),
    "text": (csv_text([[0, 0.0, "me"]]), "line 2 of the CSV holds 'me'"),
    "blank": (csv_text([[0, 0.0, ""]]), "write 0 with visibility 0"),
    "half a frame": (csv_text([[0.5, 0.0, 0]]), "'frame' holds something other than whole"),
    "nan frame": (csv_text([["nan", 0.0, 0]]), "'frame' holds something other than whole"),
    "same twice": (csv_text([ROW, ROW]), "a frame and person twice|per second"),
    "far apart": (csv_text([ROW, [10**12, 1.0, 0]]), "frames; at most 20000|at most 1000"),
    "time backwards": (csv_text([[0, 1.0, 0], [1, 0.0, 0]]), "not evenly spaced"),
    "time uneven": (csv_text([ROW, [1, 5.0, 0], [2, 6.0, 0], [9, 7.0, 0]]), "not evenly spaced"),
    "time nan": (csv_text([ROW, [1, "nan", 0]]), "does not say its frames per second"),
    "no time": (csv_text([[0, 0], [1, 0]], "frame,person"), "does not say its frames per second"),
    "nul": (csv_text([ROW]) + "\n\0", "line 3|cannot be read"),
    "not utf-8": (csv_text([ROW]) + "\n\udcff", "not UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv(text: str, message: str) -> None:
    with pytest.raises(SequenceError, match=message):
        read_sequence(text.encode("utf-8", "surrogateescape"))


# --- any bytes at all ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "whole",
    [
        JOINTS,
        as_npz(joints=some_joints(2, 20, 3), fps=30.0, layout="kinect20"),
        json.dumps(body()).encode(),
        ntu_text([{1: 0.0}]).encode(),
        csv_text([ROW, [1, 0.04, 0]]).encode(),
    ],
    ids=["npy", "npz", "json", "ntu", "csv"],
)
def test_damage_anywhere_is_a_sequence_error_or_harmless(whole: bytes) -> None:
    @settings(max_examples=60, deadline=None)
    @given(place=st.integers(0, len(whole) - 1), replacement=st.binary(max_size=4))
    def check(place: int, replacement: bytes) -> None:
        damaged = whole[:place] + replacement + whole[place + len(replacement) :]
        read_or_refuse(lambda: read_sequence(damaged, TOLD))
        read_or_refuse(lambda: read_sequence(whole[:place], TOLD))

    check()


def read_or_refuse(read: Callable[[], SkeletonSequence]) -> None:
    message = "long enough to help"
    try:
        assert np.isfinite(read().joints).all()
    except SequenceError as error:
        message = str(error)
    assert len(message) > 15
