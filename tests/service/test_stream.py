"""/stream: parity with /predict, resuming, back-pressure, and everything that ends it."""

import base64
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect
from websockets.sync.client import connect

from c2vl_serve.recognition.live import LiveWindows
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.stream_messages import MAX_MESSAGE_BYTES, FrameReader, Hello
from c2vl_serve.service.stream_sessions import Pace, StreamSession
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sequence import SkeletonSequence
from tests.conftest import waving

from .test_cli import await_ready

HELLO: dict[str, Any] = {
    "type": "hello", "layout": "kinect20", "fps": 30, "window": 1.0, "stride": 0.5, "top_k": 3,
}  # fmt: skip


def service(recognizer: ActionRecognizer, **settings: Any) -> Iterator[TestClient]:
    app = create_app(ServiceSettings(pose_workers=0, **settings), recognizer)
    with TestClient(app) as client:
        yield client


@pytest.fixture
def patient(recognizer: ActionRecognizer) -> Iterator[TestClient]:
    """A service that takes a recording at once."""
    yield from service(recognizer, stream_max_ahead=1000, max_skeleton_wait=60)


@pytest.fixture
def strict(recognizer: ActionRecognizer) -> Iterator[TestClient]:
    yield from service(
        recognizer, stream_max_ahead=0.2, stream_sessions=1, stream_idle_seconds=0.3,
        max_skeleton_wait=60,
    )  # fmt: skip


def send(stream: WebSocketTestSession, message: dict[str, Any]) -> None:
    stream.send_text(orjson.dumps(message).decode())


def frames(sequence: SkeletonSequence) -> dict[str, Any]:
    return {"type": "frames", "joints": sequence.joints.tolist()}


def opened(stream: WebSocketTestSession, **changes: Any) -> dict[str, Any]:
    send(stream, {**HELLO, **changes})
    ready = stream.receive_json()
    assert ready["type"] == "ready", ready
    return ready


def streamed(stream: WebSocketTestSession, sequence: SkeletonSequence) -> list[dict[str, Any]]:
    """The answers to a whole sequence of at most eight windows, which may all wait at once."""
    for start in range(0, sequence.num_frames, 7):
        chunk = sequence.frames(start, start + 7)
        numbers = np.concatenate([chunk.joints, chunk.visibility[..., None]], axis=-1)
        stream.send_bytes(numbers.astype("<f4").tobytes())
    send(stream, {"type": "end"})
    answers = []
    while (message := stream.receive_json())["type"] != "ended":
        answers.append(message)
    return answers


def without_latency(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in answer.items() if k != "latency_ms"} for answer in answers]


def test_windows_are_those_of_predict(patient: TestClient) -> None:
    one, other = waving(130), waving(130)
    sequence = SkeletonSequence(
        joints=np.concatenate([one.joints, other.joints[::-1] * np.float32(0.9)], axis=1),
        visibility=np.concatenate([one.visibility * np.float32(0.5), other.visibility], axis=1),
        fps=30.0,
        layout=one.layout,
    )
    whole = patient.post(
        "/predict",
        json={
            "joints": sequence.joints.tolist(),
            "visibility": sequence.visibility.tolist(),
            "layout": "kinect20",
            "fps": 30,
        },
        params={"window": "1", "stride": "0.5", "top_k": "3"},
    ).json()
    with patient.websocket_connect("/stream") as stream:
        ready = opened(stream, persons=2, visibility=True)
        assert ready["frame_bytes"] == 2 * 20 * 4 * 4
        answers = streamed(stream, sequence)
    assert {answer["type"] for answer in answers} == {"window"}
    for person in whole["persons"]:
        found = [
            (answer["start"], answer["end"], mine)
            for answer in answers
            for mine in answer["persons"]
            if mine["id"] == person["id"]
        ]
        assert len(found) == len(person["windows"]) > 5
        for window, (start, end, mine) in zip(person["windows"], found, strict=True):
            assert (window["start"], window["end"]) == (start, end)
            assert window["recognised"] == mine["recognised"]
            assert [a["label"] for a in window["actions"]] == [a["label"] for a in mine["actions"]]
            np.testing.assert_allclose(
                [a["score"] for a in window["actions"]],
                [a["score"] for a in mine["actions"]],
                atol=1e-5,
            )


def test_text_and_binary_are_answered_alike(patient: TestClient) -> None:
    sequence = waving(45)
    results = []
    for as_text in (True, False):
        with patient.websocket_connect("/stream") as stream:
            opened(stream)
            for start in range(0, 45, 15):
                chunk = sequence.frames(start, start + 15)
                if as_text:
                    send(stream, frames(chunk))
                else:
                    stream.send_bytes(chunk.joints.tobytes())
            send(stream, {"type": "end"})
            results.append(without_latency([stream.receive_json() for _ in range(3)]))
    assert results[0] == results[1]
    assert results[0][-1] == {"type": "ended", "frames": 45, "windows": 2}


def test_a_broken_connection_is_resumed_where_it_was(patient: TestClient) -> None:
    sequence = waving(120)
    with patient.websocket_connect("/stream") as stream:
        opened(stream)
        send(stream, frames(sequence))
        send(stream, {"type": "end"})
        expected = without_latency([stream.receive_json() for _ in range(8)])
    with patient.websocket_connect("/stream") as stream:
        session = opened(stream)["session"]
        send(stream, frames(sequence.frames(0, 75)))
        first = [stream.receive_json() for _ in range(3)]
    with patient.websocket_connect("/stream") as stream:
        send(stream, {"type": "resume", "session": session, "after": 1})
        ready = stream.receive_json()
        assert (ready["resumed"], ready["frames"]) == (True, 75)
        again = [stream.receive_json()]
        send(stream, frames(sequence.frames(75, 120)))
        send(stream, {"type": "end"})
        rest = []
        while not rest or rest[-1]["type"] != "ended":
            rest.append(stream.receive_json())
    assert again == first[2:]
    assert without_latency([*first, *rest]) == expected


def test_the_connection_that_resumes_wins(patient: TestClient) -> None:
    with patient.websocket_connect("/stream") as old:
        session = opened(old)["session"]
        with patient.websocket_connect("/stream") as new:
            send(new, {"type": "resume", "session": session})
            assert new.receive_json()["resumed"] is True
            assert_parted(old, 409, "another connection resumed this session")
            send(new, {"type": "end"})
            assert new.receive_json() == {"type": "ended", "frames": 0, "windows": 0}


def assert_parted(stream: WebSocketTestSession, status: int, sentence: str) -> None:
    """The server says why and closes, and the code tells the status."""
    message = stream.receive_json()
    assert message["type"] == "error", message
    assert message["problem"]["status"] == status
    assert sentence in message["problem"]["detail"]
    with pytest.raises(WebSocketDisconnect) as closed:
        stream.receive_json()
    assert closed.value.code == 4000 + status


@pytest.mark.parametrize(
    ("message", "status", "sentence"),
    [
        ("{", 400, "the message is not JSON"),
        ("[]", 400, "not a JSON object"),
        ({"type": "frames"}, 422, "of type 'frames'; expected 'hello' or 'resume'"),
        ({**HELLO, "fps": 0}, 422, "fps: Input should be greater than 0"),
        ({**HELLO, "colour": 1}, 422, "colour: Extra inputs are not permitted"),
        ({**HELLO, "layout": "ntu"}, 422, "unknown layout 'ntu'"),
        ({**HELLO, "fps": 500}, 422, "fps is 500; a stream may have at most 120"),
        ({**HELLO, "persons": 11}, 422, "persons is 11; a stream may have at most 10"),
        ({"type": "resume", "session": "gone"}, 404, "there is no such session"),
    ],
)
def test_a_first_message_that_cannot_be_used(
    patient: TestClient, message: Any, status: int, sentence: str
) -> None:
    with patient.websocket_connect("/stream") as stream:
        stream.send_text(message if isinstance(message, str) else orjson.dumps(message).decode())
        assert_parted(stream, status, sentence)


@pytest.mark.parametrize(
    ("message", "status", "sentence"),
    [
        ({"type": "frame"}, 422, "of type 'frame'; expected 'frames' or 'end'"),
        ({"type": "frames", "joints": [[[0, 0, 0]]]}, 422, "sequence has 1 joints but layout"),
        ({"type": "frames", "joints": [[[0, 0, None]] * 20]}, 422, "/0/0/2 is null"),
        ({"type": "frames", "joints": [], "fps": 10}, 422, "fps is said once, in hello"),
        ({"type": "frames"}, 422, "joints are missing"),
        (b"1234", 422, "the message has 4 bytes; one frame has 240"),
        (np.full(60, np.nan, "<f4").tobytes(), 422, "NaN or infinite"),
        (bytes(240 * (MAX_MESSAGE_BYTES // 240 + 1)), 413, "longer than 262144 bytes"),
    ],
)
def test_frames_that_cannot_be_used(
    patient: TestClient, message: Any, status: int, sentence: str
) -> None:
    with patient.websocket_connect("/stream") as stream:
        opened(stream)
        if isinstance(message, bytes):
            stream.send_bytes(message)
        else:
            send(stream, message)
        assert_parted(stream, status, sentence)


def test_who_sends_too_fast_is_told_and_nothing_is_lost(strict: TestClient) -> None:
    with strict.websocket_connect("/stream") as stream:
        opened(stream, window=0.3, stride=0.3)
        for start in range(0, 18, 3):
            send(stream, frames(waving(18).frames(start, start + 3)))
        send(stream, {"type": "end"})
        messages = []
        while not messages or messages[-1]["type"] != "ended":
            messages.append(stream.receive_json())
    told = [message for message in messages if message["type"] == "slow_down"]
    assert told
    assert told[0]["max_ahead_seconds"] == 0.2
    assert told[0]["ahead_seconds"] > 0.2
    assert messages[-1]["frames"] == 18


def test_pace_empties_with_time_and_saves_nothing_up() -> None:
    pace = Pace()
    pace.sent(1.0, now=10.0)
    pace.sent(1.0, now=10.5)
    assert pace.ahead == 1.5
    pace.sent(1.0, now=100.0)
    assert pace.ahead == 1.0


def test_the_oldest_windows_give_way_when_too_many_wait() -> None:
    hello = Hello.model_validate(HELLO)
    config = PreprocessingConfig(num_frames=16)
    live = LiveWindows(layout=hello.known_layout(), fps=30.0, config=config, window=1.0, stride=0.5)
    session = StreamSession(hello=hello, reader=FrameReader(hello, 100.0), windows=live)
    dropped = session.add(live.push(waving(180)), now=1.0)
    assert [window.index for window in dropped] == [0, 1]
    assert [waiting.window.index for waiting in session.waiting] == list(range(2, 10))
    assert session.arrived.is_set()


def test_only_so_many_streams(strict: TestClient) -> None:
    with strict.websocket_connect("/stream") as first:
        opened(first)
        with strict.websocket_connect("/stream") as second:
            send(second, HELLO)
            assert_parted(second, 503, "1 streams are open, as many as are allowed")
    with strict.websocket_connect("/stream") as third:
        opened(third)  # the first one's session gave way


def test_silence_ends_a_stream(strict: TestClient) -> None:
    with strict.websocket_connect("/stream") as stream:
        opened(stream)
        assert_parted(stream, 408, "the next frames did not come within 0.3 s")


@pytest.fixture
def locked(recognizer: ActionRecognizer) -> Iterator[TestClient]:
    yield from service(recognizer, api_keys="sesame ✓")


def test_streams_want_the_key_too(locked: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, locked.websocket_connect("/stream"):
        pass
    assert denied.value.status_code == 401
    assert denied.value.headers["content-type"] == "application/problem+json"
    token = base64.urlsafe_b64encode("sesame ✓".encode()).decode().rstrip("=")
    with locked.websocket_connect("/stream", subprotocols=["c2vl", f"c2vl.key.{token}"]) as stream:
        assert stream.accepted_subprotocol == "c2vl"
        opened(stream)
    for wrong in ("c2vl.key.AAAA", "c2vl.key.%", token):
        with (
            pytest.raises(WebSocketDenialResponse),
            locked.websocket_connect("/stream", subprotocols=["c2vl", wrong]),
        ):
            pass


def test_pages_of_another_origin_are_refused(patient: TestClient) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        patient.websocket_connect("/stream", headers={"origin": "https://elsewhere.example"}),
    ):
        pass
    assert denied.value.status_code == 403
    with patient.websocket_connect("/stream", headers={"origin": "http://testserver"}) as stream:
        opened(stream)


def test_it_works_over_a_real_socket(tiny_bundle: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ, "C2VL_BUNDLE": str(tiny_bundle), "C2VL_POSE_WORKERS": "0",
        "C2VL_MAX_SKELETON_WAIT": "60",
    }  # fmt: skip
    command = "from c2vl_serve.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", command, "run", "--port", str(port)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            await_ready(f"http://127.0.0.1:{port}/health/ready")
            example = Path(__file__).parents[2] / "examples" / "stream_client.py"
            done = subprocess.run(
                [sys.executable, str(example), "--url", f"ws://127.0.0.1:{port}/stream"],
                capture_output=True,
                text=True,
                timeout=60,
            )
            with connect(f"ws://127.0.0.1:{port}/stream") as stream:
                stream.send(bytes(3 * MAX_MESSAGE_BYTES))
                with pytest.raises(Exception, match="1009"):
                    stream.recv(timeout=20)
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=40)
    assert done.returncode == 0, done.stderr
    assert "0.0-1.0 s" in done.stdout
    assert "Traceback" not in err
