"""Some 200 requests that no client should send, made by code: each name tells what is wrong.

They are what a stranger's bug or malice puts on the wire: text that is no JSON, arrays that are no
arrays, archives that explode, headers and forms that contradict themselves.
"""

import base64
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

Request: TypeAlias = dict[str, Any]  # what httpx takes beside method and path

V = 20  # joints of kinect20
GOOD: dict[str, Any] = {"joints": [[[0.1, 0.2, 0.3]] * V] * 4, "layout": "kinect20", "fps": 30}
TOLD = {"layout": "kinect20", "fps": "30"}
JSON = {"content-type": "application/json"}
NPY = {"content-type": "application/x-npy"}


def bad_requests() -> dict[str, Request]:
    """Each request by what is wrong with it."""
    found: dict[str, Request] = {}
    for kind, requests in (
        ("text", _texts()),
        ("field", _fields()),
        ("joints", _joints()),
        ("packed", _packed()),
        ("npy", _npys()),
        ("npz", _npzs()),
        ("file", _files()),
        ("form", _forms()),
        ("query", _queries()),
        ("header", _headers()),
    ):
        for name, request in requests:
            key = f"{kind}: {name}"
            assert key not in found, key
            found[key] = request
    return found


Named: TypeAlias = Iterator[tuple[str, Request]]


def _texts() -> Named:
    """Bodies that say they are JSON and are none, or are none of ours."""
    good = json.dumps(GOOD).encode()
    for length in (1, 2, 10, len(good) // 2, len(good) - 1):
        yield f"cut after {length} bytes", {"content": good[:length], "headers": JSON}
    for name, content in {
        "nothing": b"",
        "a blank": b" ",
        "NaN": b'{"joints": [[[NaN, 0, 0]]], "layout": "kinect20", "fps": 30}',
        "Infinity": b'{"joints": [[[Infinity, 0, 0]]], "layout": "kinect20", "fps": 30}',
        "1e999": b'{"joints": [[[1e999, 0, 0]]], "layout": "kinect20", "fps": 30}',
        "a comment": b"/* hello */ {}",
        "single quotes": b"{'joints': []}",
        "a trailing comma": b'{"joints": [],}',
        "two values": good + good,
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "UTF-16": good.decode().encode("utf-16"),
        "UTF-32": good.decode().encode("utf-32"),
        "Latin-1": '{"layout": "é"}'.encode("latin-1"),
        "a lone surrogate": b'{"layout": "\\ud800"}',
        "a null byte": b"\x00" + good,
        "deep lists": b"[" * 100_000,
        "deep lists, closed": b"[" * 5_000 + b"]" * 5_000,
        "deep objects": b'{"a":' * 50_000,
        "many lists": b"[" + b"[]," * 100_000 + b"[]]",
        "a long number": b'{"fps": ' + b"9" * 5_000 + b"}",
        "a long key": b'{"' + b"k" * 100_000 + b'": 1}',
        "XML": b"<?xml version='1.0'?><joints/>",
        "an entity bomb": b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
        "YAML": b"joints: !!python/object/apply:os.system ['true']",
        "a pickle": pickle.dumps(GOOD),
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        "random bytes": np.random.default_rng(0).bytes(1000),
        "null": b"null",
        "true": b"true",
        "a number": b"3",
        "text": b'"joints"',
        "a list": b"[]",
        "an empty object": b"{}",
    }.items():
        yield name, {"content": content, "headers": JSON}


def _fields() -> Named:
    """A good skeleton with one field gone, unknown or of another kind."""
    for key in GOOD:
        yield f"without {key}", {"json": {k: v for k, v in GOOD.items() if k != key}}
    yield "unknown key", {"json": {**GOOD, "skeleton": 1}}
    values = {
        "fps": [0, -1, "30", True, [30], {}, 1e9, 10**400],
        "layout": ["none", "", 5, [], {}, True, "x" * 100_000, "kinect20\x00", "../ntu25"],
        "up": ["+w", 5, [], "up"],
        "visibility": [5, "x", {}, [[2.0] * V] * 4, [[-1] * V] * 4, [[1.0] * V] * 3, [[None] * V]],
        "person_ids": [5, ["a"], [1, 2], [1.5], [True], [10**30], {}],
        "encoding": ["gzip", 5, [], "base64"],
        "shape": [5, "x", [], [4], [4, V], [4, V, 3.0], [-4, V, 3], [4, V, 3, 1, 1], [True, V, 3]],
    }
    for key, wrong in values.items():
        for value in wrong:
            yield f"{key} = {str(value)[:30]}", {"content": _dumped(key, value), "headers": JSON}
    for name, layout in {
        "no joints": {"name": "mine"},
        "no name": {"joints": {"a": None}},
        "no root": {"name": "mine", "joints": {"a": "b", "b": "a"}},
        "two roots": {"name": "mine", "joints": {"a": None, "b": None}},
        "unknown parent": {"name": "mine", "joints": {"a": None, "b": "c"}},
        "own parent": {"name": "mine", "joints": {"a": None, "b": "b"}},
        "parent a number": {"name": "mine", "joints": {"a": None, "b": 5}},
        "joints a list": {"name": "mine", "joints": ["a", "b"]},
        "thousands of joints": {"name": "mine", "joints": dict.fromkeys(map(str, range(5000)))},
    }.items():
        yield f"layout with {name}", {"json": {**GOOD, "layout": layout}}


def _dumped(key: str, value: object) -> bytes:
    return json.dumps({**GOOD, key: value}).encode()


def _joints() -> Named:
    """Nested joints that are no array, or none of these."""
    frame = [[0.1, 0.2, 0.3]] * V
    for name, joints in {
        "empty": [],
        "empty frames": [[], []],
        "empty joints": [[[]] * V],
        "flat": [0.1] * 60,
        "two deep": frame,
        "five deep": [[[frame]]],
        "an object": {"0": frame},
        "text": "joints",
        "a number": 5,
        "null": None,
        "19 joints": [frame[:19]] * 4,
        "21 joints": [[*frame, [0, 0, 0]]] * 4,
        "one coordinate": [[[0.1]] * V] * 4,
        "two coordinates": [[[0.1, 0.2]] * V] * 4,
        "four coordinates": [[[0.1, 0.2, 0.3, 1.0]] * V] * 4,
        "ragged frames": [frame, frame[:19]],
        "ragged coordinates": [[[0.1, 0.2, 0.3]] * 19 + [[0.1, 0.2]]] * 4,
        "ragged persons": [[frame], [frame, frame]],
        "a frame missing": [frame, None, frame],
        "a joint missing": [[*frame[:19], None]],
        "a coordinate missing": [[*frame[:19], [0.1, None, 0.3]]],
        "a coordinate as text": [[*frame[:19], [0.1, "0.2", 0.3]]],
        "a coordinate as truth": [[*frame[:19], [0.1, True, 0.3]]],
        "beyond float": [[[10**400, 0, 0]] * V],
        "beyond float32": [[[1e300, 0, 0]] * V],
        "11 persons": [[frame] * 11] * 2,
        "20001 frames": [[[0]]] * 20_001,
    }.items():
        yield name, {"content": json.dumps({**GOOD, "joints": joints}).encode(), "headers": JSON}


def _packed() -> Named:
    """Flat and base64 joints with shapes that are not theirs."""
    raw = np.zeros((4, V, 3), "<f4")
    text = base64.b64encode(raw).decode()
    shape = [4, V, 3]
    for name, fields in {
        "no shape": {"joints": text, "encoding": "base64"},
        "no encoding": {"joints": text, "shape": shape},
        "shape too large": {"joints": text, "shape": [5, V, 3], "encoding": "base64"},
        "shape huge": {"joints": text, "shape": [2**31 - 1, V, 3], "encoding": "base64"},
        "shape beyond": {"joints": text, "shape": [2**63, V, 3], "encoding": "base64"},
        "frames beyond": {"joints": text, "shape": [20_001, 1, V, 3], "encoding": "base64"},
        "shape of zeros": {"joints": text, "shape": [0, V, 3], "encoding": "base64"},
        "not base64": {"joints": "!!!!", "shape": shape, "encoding": "base64"},
        "base64 of 3 bytes": {"joints": "AAAA", "shape": shape, "encoding": "base64"},
        "base64 cut": {"joints": text[:-3], "shape": shape, "encoding": "base64"},
        "base64 with blanks": {"joints": f" {text}", "shape": shape, "encoding": "base64"},
        "url base64": {"joints": "-_" * 480, "shape": shape, "encoding": "base64"},
        "base64 not ASCII": {"joints": "é" * 960, "shape": shape, "encoding": "base64"},
        "empty base64": {"joints": "", "shape": shape, "encoding": "base64"},
        "base64 of NaN": {
            "joints": base64.b64encode(np.full((4, V, 3), np.nan, "<f4")).decode(),
            "shape": shape, "encoding": "base64",
        },
        "base64 of infinity": {
            "joints": base64.b64encode(np.full((4, V, 3), np.inf, "<f4")).decode(),
            "shape": shape, "encoding": "base64",
        },
        "a list as base64": {"joints": [0.0] * 240, "shape": shape, "encoding": "base64"},
        "flat too short": {"joints": [0.0] * 239, "shape": shape},
        "flat too long": {"joints": [0.0] * 241, "shape": shape},
        "flat with text": {"joints": ["0"] * 240, "shape": shape},
        "nested with shape": {"joints": [[0.0] * 60] * 4, "shape": shape},
        "visibility too short": {
            "joints": text, "shape": shape, "encoding": "base64", "visibility": "AAAA",
        },
    }.items():  # fmt: skip
        yield name, {"json": {"layout": "kinect20", "fps": 30, **fields}}


def npy(array: np.ndarray[Any, Any], *, allow_pickle: bool = False) -> bytes:
    """The array as a ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=allow_pickle)
    return file.getvalue()


def npy_header(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """A ``.npy`` file with this header, whatever it says."""
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode() + data


def _npys() -> Named:
    """``.npy`` bodies: other types, other shapes, headers that lie, a pickle."""
    good = npy(np.zeros((4, V, 3), np.float32))
    shape = "'fortran_order': False, 'shape': (4, 20, 3), }"
    for length in (0, 5, 6, 8, 10, 60, 128, len(good) - 1):
        yield f"cut after {length} bytes", {"content": good[:length], "headers": NPY}
    for name, content in {
        "longer than it says": good + b"\x00",
        "wrong magic": b"\x93NUMPX" + good[6:],
        "JSON": json.dumps(GOOD).encode(),
        "objects": npy(np.array([GOOD], object), allow_pickle=True),
        "a pickle": pickle.dumps(np.zeros((4, V, 3))),
        "text": npy(np.full((4, V, 3), "a")),
        "complex": npy(np.zeros((4, V, 3), complex)),
        "truth": npy(np.zeros((4, V, 3), bool)),
        "dates": npy(np.zeros((4, V, 3), "M8[s]")),
        "records": npy(np.zeros(4, [("x", "f4"), ("y", "f4")])),
        "a number": npy(np.float32(5)),
        "flat": npy(np.zeros(240, np.float32)),
        "five deep": npy(np.zeros((1, 4, 1, V, 3), np.float32)),
        "no frames": npy(np.zeros((0, V, 3), np.float32)),
        "no persons": npy(np.zeros((4, 0, V, 3), np.float32)),
        "11 persons": npy(np.zeros((4, 11, V, 3), np.float32)),
        "25 joints": npy(np.zeros((4, 25, 3), np.float32)),
        "20001 frames": npy(np.zeros((20_001, V, 3), np.int8)),
        "NaN": npy(np.full((4, V, 3), np.nan, np.float32)),
        "infinity": npy(np.full((4, V, 3), -np.inf)),
        "beyond float32": npy(np.full((4, V, 3), 1e300)),
        "version 9": npy_header("{}", version=b"\x09\x00"),
        "an empty header": npy_header(""),
        "a header that is code": npy_header("__import__('os').system('true')"),
        "a header that is deep": npy_header("(" * 3000 + ")" * 3000),
        "a header that is a list": npy_header("[1, 2]"),
        "a header of 60000": npy_header(" " * 60_000),
        "shape huge": npy_header(f"{{'descr': '<f4', {shape}".replace("(4", "(4000000000")),
        "shape beyond": npy_header(f"{{'descr': '<f4', {shape}".replace("(4", f"({2**70}")),
        "shape negative": npy_header(f"{{'descr': '<f4', {shape}".replace("(4", "(-4")),
        "shape of truth": npy_header(f"{{'descr': '<f4', {shape}".replace("(4", "(True")),
        "shape of text": npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': 'abc'}"),
        "no shape": npy_header("{'descr': '<f4', 'fortran_order': False}"),
        "an unknown key": npy_header(f"{{'descr': '<f4', 'more': 1, {shape}"),
        "an unknown type": npy_header(f"{{'descr': '<q9', {shape}"),
        "a type that is a list": npy_header(f"{{'descr': ['<f4'], {shape}"),
    }.items():
        yield name, {"content": content, "headers": NPY, "params": TOLD}
    yield "without layout", {"content": good, "headers": NPY, "params": {"fps": "30"}}
    yield "without fps", {"content": good, "headers": NPY, "params": {"layout": "kinect20"}}


def archive(members: dict[str, bytes]) -> bytes:
    """A zip file, packed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return file.getvalue()


def _npzs() -> Named:
    """Archives: bombs, pickles, lies, damage."""
    joints = npy(np.zeros((4, V, 3), np.float32))
    told = {"fps.npy": npy(np.float64(30)), "layout.npy": npy(np.array("kinect20"))}
    good = archive({"joints.npy": joints, **told})
    bomb = npy_header(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 20, 3)}", bytes(100 * 2**20)
    )
    broken = bytearray(good)
    broken[60] ^= 0xFF
    for name, content in {
        "empty": archive({}),
        "without joints": archive(told),
        "without fps": archive({"joints.npy": joints}),
        "another file": archive({"readme.txt": b"hello"}),
        "a bomb of 100 MiB": archive({"joints.npy": bomb, **told}),
        "a zip within": archive({"joints.npy": good, **told}),
        "objects": archive({"joints.npy": npy(np.array([{}], object), allow_pickle=True), **told}),
        "a pickle": archive({"joints.npy": pickle.dumps(GOOD), **told}),
        "a path": archive({"../../joints.npy": joints, **told}),
        "NaN": archive({"joints.npy": npy(np.full((4, V, 3), np.nan)), **told}),
        "fps a list": archive({"joints.npy": joints, **told, "fps.npy": npy(np.zeros(5))}),
        "layout unknown": archive({"joints.npy": joints, **told, "layout.npy": npy(np.array("x"))}),
        "cut in half": good[: len(good) // 2],
        "cut at the end": good[:-10],
        "a flipped bit": bytes(broken),
        "the end alone": good[-22:],
        "the magic alone": b"PK\x03\x04",
        "members by the thousand": archive({f"{n}.npy": b"" for n in range(3000)}),
    }.items():
        yield name, {"files": {"file": ("clip.npz", content)}}


def _files() -> Named:
    """Files that are no skeleton; no video either, but videos are another's to refuse."""
    for name, content in {
        "NTU, no frames": b"0\n0\n",
        "NTU, cut": b"2\n1\n72057594037931101 0 1 1 1 1 0 -0.4 0.1 2\n25\n",
        "NTU, many bodies": b"1\n999999999\n",
        "NTU, many frames": b"999999999\n1\n",
        "NTU, words": b"1\n1\nhello\n",
        "CSV, heading only": b"frame,time,person,a_x,a_y,a_z\n",
        "CSV, unknown joints": b"frame,time,person,a_x,a_y,a_z\n0,0,0,1,2,3\n",
        "CSV, words": b"frame,time,person,root_x,root_y,root_z\n0,0,0,a,b,c\n",
        "JSON, a list": b"[1, 2, 3]",
        "JSON, cut": b'{"joints": [[',
        "JSON, deep": b'{"joints": ' + b"[" * 100_000,
    }.items():
        yield name, {"files": {"file": ("clip", content)}, "params": TOLD}
    yield "empty", {"files": {"file": ("clip.mp4", b"")}}


def _forms() -> Named:
    """Multipart bodies: no file, two files, no boundary, broken parts."""
    file = json.dumps(GOOD).encode()
    yield "no file", {"files": {"other": ("clip.json", file)}}
    yield "two files", {"files": [("file", ("a", file)), ("file", ("b", file))]}
    yield "a field beside", {"files": {"file": ("a", file)}, "data": {"layout": "kinect20"}}
    yield "many fields", {"files": [(f"f{n}", ("a", b"")) for n in range(2000)]}
    head = {"content-type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for name, content in {
        "empty": b"",
        "no parts": b"--x--\r\n",
        "not closed": part + file,
        "no disposition": b"--x\r\n\r\nhello\r\n--x--\r\n",
        "no name": b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\nx\r\n--x--\r\n',
        "a field, no file": b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--x--',
        "broken header": b"--x\r\nContent-Disposition\r\n\r\nx\r\n--x--\r\n",
        "another boundary": part.replace(b"--x", b"--y") + file + b"\r\n--y--\r\n",
        "a header without end": b"--x\r\n" + b"A" * 100_000,
        "JSON": file,
    }.items():
        yield name, {"content": content, "headers": head}
    for kind in ("multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed"):
        yield f"as {kind!r}", {"content": part + file, "headers": {"content-type": kind}}


def _queries() -> Named:
    """A good body with a query that cannot be."""
    for name, values in {
        "top_k": ["0", "-1", "1001", "many", "1.5", "", "9" * 50],
        "persons": ["0", "11", "x"],
        "window": ["0", "-1", "nan", "inf", "61", "x", "1e400"],
        "stride": ["0", "0.01", "nan", "x"],
        "fps": ["0", "-30", "nan", "inf", "1001", "x"],
        "layout": ["none", "x" * 5000, "\x00"],
        "up": ["y", "+w", ""],
        "draw": ["perhaps", "2"],
    }.items():
        for value in values:
            yield f"{name}={value[:12]!r}", {"json": GOOD, "params": {name: value}}


def _headers() -> Named:
    """A good body under headers that are not its."""
    body = json.dumps(GOOD).encode()
    for kind in (
        "",
        "text/plain",
        "application/xml",
        "image/png",
        "application/json5",
        "json",
        "/",
    ):
        yield f"Content-Type {kind!r}", {"content": body, "headers": {"content-type": kind}}
    yield "no Content-Type", {"content": body}
    for encoding in ("gzip", "br", "deflate", "identity, gzip", "x"):
        yield f"Content-Encoding {encoding!r}", {
            "content": body, "headers": {**JSON, "content-encoding": encoding},
        }  # fmt: skip
    for timeout in ("0", "-1", "x", "nan", "inf"):
        yield f"X-Request-Timeout {timeout!r}", {
            "content": body, "headers": {**JSON, "x-request-timeout": timeout},
        }  # fmt: skip
    for length in ("-1", "x", "1e3", str(2**70), str(64 * 2**20 + 1)):
        yield f"Content-Length {length[:12]!r}", {
            "content": body, "headers": {**JSON, "content-length": length},
        }  # fmt: skip
