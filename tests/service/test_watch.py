"""Watching: newest pictures only, answers as it goes, and what cannot be watched."""

import functools
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from c2vl_serve.errors import RuntimeUnavailable, SequenceError
from c2vl_serve.pose import find_pose_model
from c2vl_serve.pose.estimator import FramePoses
from c2vl_serve.pose.live_source import CameraSource, open_source
from c2vl_serve.pose.video import VideoFrame
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.watch.terminal import line, panel
from c2vl_serve.watch.watcher import Moment, Watcher
from c2vl_serve.watch.window import OverlayWindow, overlay
from tests.pose.conftest import body, poses

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'c2vl-serve[pose]'")

WATCH = [sys.executable, "-c", "from c2vl_serve.cli import main; main()", "watch"]
PICTURE = np.full((90, 120, 3), 120, np.uint8)


def nobody(image: np.ndarray, time: float) -> FramePoses:
    return poses()


def somebody(image: np.ndarray, time: float) -> FramePoses:
    """Who steps from side to side."""
    return poses(body(0.6 + 0.05 * np.sin(6 * time)))


def watched(watcher: Watcher, seconds: float) -> list[Moment]:
    times = np.arange(0, seconds, 1 / 15)
    return [watcher.see(VideoFrame(float(time), PICTURE)) for time in times]


def test_answers_come_at_every_stride(recognizer: ActionRecognizer) -> None:
    watcher = Watcher(recognizer=recognizer, estimate=somebody, top_k=2, stride=0.5)
    moments = watched(watcher, 3.0)
    new = [moment.frame.time for moment in moments if moment.is_new]
    assert new[0] == pytest.approx(7 / 15)  # the eighth picture
    assert np.diff(new) == pytest.approx(8 / 15)  # the first picture that is half a second later
    found = moments[-1].found
    assert found is not None
    (person,) = found.persons
    assert len(person.actions) == 2
    assert moments[-1].fps == pytest.approx(15)
    assert [moment.found is None for moment in moments[:8]] == [True] * 7 + [False]


def test_no_more_is_kept_than_a_window(recognizer: ActionRecognizer) -> None:
    watcher = Watcher(recognizer=recognizer, estimate=somebody)
    watched(watcher, 10.0)
    assert len(watcher._seen) <= recognizer.bundle.card.preprocessing.num_frames


def test_nobody_is_an_answer(recognizer: ActionRecognizer) -> None:
    moment = watched(Watcher(recognizer=recognizer, estimate=nobody), 2.0)[-1]
    assert moment.found is not None
    assert moment.found.persons == ()
    assert "nobody is seen" in shown(moment)


def shown(moment: Moment) -> str:
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(panel(moment, "webcam [0]", num_dropped=3))
    return console.export_text()


def test_the_terminal_shows_action_scores_and_state(recognizer: ActionRecognizer) -> None:
    moments = watched(Watcher(recognizer=recognizer, estimate=somebody), 2.0)
    assert "looking ..." in shown(moments[0])
    text = shown(moments[-1])
    best = moments[-1].found.actions[0]  # type: ignore[union-attr]
    assert "webcam [0]" in text
    assert "person 0: " + best.label in text
    assert f"{best.score:.2f}" in text
    assert "1 in the picture · 15.0 frames a second · 3 dropped" in text


def test_without_a_terminal_an_answer_is_a_line(recognizer: ActionRecognizer) -> None:
    moment = watched(Watcher(recognizer=recognizer, estimate=somebody), 2.0)[-1]
    best = moment.found.actions[0]  # type: ignore[union-attr]
    assert line(moment).startswith(f"   1.9 s  person 0: {best.label}")
    assert line(moment).endswith(f" {best.score:.2f}")
    empty = watched(Watcher(recognizer=recognizer, estimate=nobody), 2.0)[-1]
    assert line(empty) == "   1.9 s  nobody is seen"


def two(image: np.ndarray, time: float) -> FramePoses:
    """One comes nearer while the other goes away; MediaPipe's order of them changes."""
    people = [body(0.3, size=0.6 + 0.1 * time), body(0.9, size=1.1 - 0.1 * time)]
    return poses(*(people if round(15 * time) % 2 else people[::-1]))


def test_two_people_keep_their_numbers(recognizer: ActionRecognizer) -> None:
    watcher = Watcher(recognizer=recognizer, estimate=two, persons=2)
    answers = [m.found for m in watched(watcher, 8.0) if m.is_new and m.found is not None]
    orders = {tuple(person.id for person in found.persons) for found in answers}
    assert orders == {(0, 1), (1, 0)}  # the clearest first, by numbers that stay


def test_the_overlay_draws_the_person_and_the_caption(recognizer: ActionRecognizer) -> None:
    moment = watched(Watcher(recognizer=recognizer, estimate=somebody), 2.0)[-1]
    drawn = overlay(moment)
    changed = np.any(drawn != PICTURE, axis=-1)
    assert drawn.shape == PICTURE.shape
    assert changed[:30].any()  # the caption
    assert changed[60:].any()  # the legs
    assert (moment.frame.image == PICTURE).all()


def test_a_camera_gives_the_newest_picture_and_counts_the_others() -> None:
    may_go_on, has_gone_on = threading.Event(), threading.Event()

    def pictures() -> Iterator[np.ndarray]:
        yield np.full((2, 2, 3), 0, np.uint8)
        assert may_go_on.wait(20)
        for grey in (1, 2, 3):
            yield np.full((2, 2, 3), grey, np.uint8)
        has_gone_on.set()

    source = CameraSource(pictures)
    frames = source.frames(fps=1e6)
    first = next(frames)
    may_go_on.set()
    assert has_gone_on.wait(20)
    (rest,) = frames
    source.close()
    assert (first.image[0, 0, 0], rest.image[0, 0, 0]) == (0, 3)
    assert rest.time > first.time
    assert source.num_dropped == 2


def test_a_camera_that_breaks_off_says_so() -> None:
    def pictures() -> Iterator[np.ndarray]:
        yield np.zeros((2, 2, 3), np.uint8)
        raise SequenceError("the cable is out")

    with pytest.raises(SequenceError, match="the cable is out"):
        list(CameraSource(pictures).frames(fps=1e6))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("absent.mp4", "absent.mp4: No such file or directory"),
        ("97", "webcam 97 cannot be opened; check that it is plugged in"),
        ("http://127.0.0.1:9/camera", "http://127.0.0.1:9/camera cannot be opened: .*refused"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_cannot_be_opened_is_a_sentence(source: str, sentence: str) -> None:
    with pytest.raises(SequenceError, match=sentence):
        open_source(source)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten seconds of grey."""
    return write_grey(tmp_path / "grey.mp4", seconds=10)


def write_grey(path: Path, *, seconds: int) -> Path:
    """Grey at 30 frames per second."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in range(30 * seconds):
            image = np.full((48, 64, 3), grey % 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_an_address_is_read_like_a_camera(video: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

    handler = functools.partial(Quiet, directory=video.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            source = open_source(f"http://127.0.0.1:{server.server_port}/grey.mp4")
            frames = list(source.frames(fps=15.0))
            source.close()
        finally:
            server.shutdown()
            thread.join()
    assert source.is_live
    assert frames
    assert frames[0].image.shape == (48, 64, 3)
    assert len(frames) < 300  # it came faster than 15 a second


def test_a_file_waits_for_who_reads_it(video: Path) -> None:
    source = open_source(str(video))
    assert len(list(source.frames(fps=15.0))) == pytest.approx(150, abs=1)
    assert (source.is_live, source.num_dropped) == (False, 0)
    source.close()


def test_a_window_wants_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells by the environment whether there is a display")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(RuntimeUnavailable, match="no window can be opened here"):
        OverlayWindow()


@pytest.fixture
def has_poses() -> None:
    try:
        find_pose_model()
    except RuntimeUnavailable as error:
        pytest.skip(str(error))


def watch(tiny_bundle: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "C2VL_BUNDLE": str(tiny_bundle)}
    environment.pop("DISPLAY", None)
    return subprocess.Popen(
        [*WATCH, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heeding_interrupts,
    )


def _heeding_interrupts() -> None:
    """What a shell puts in the background ignores SIGINT, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent.mp4"], "error: video cannot be opened: absent.mp4: No such file"),
        (["{video}", "--window"], "error: no window can be opened here"),
    ],
)
def test_the_command_fails_in_one_sentence(
    tiny_bundle: Path, video: Path, arguments: list[str], sentence: str
) -> None:
    arguments = [argument.format(video=video) for argument in arguments]
    with watch(tiny_bundle, *arguments) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out == ""
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("has_poses")
def test_interrupting_it_is_a_clean_end(tiny_bundle: Path, tmp_path: Path) -> None:
    long = write_grey(tmp_path / "long.mp4", seconds=120)
    with watch(tiny_bundle, str(long)) as process:  # without --json a file takes its own time
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert first.endswith(" s  nobody is seen\n")
    assert len(rest.splitlines()) < 200  # of two minutes, twice a second


@pytest.mark.slow
@pytest.mark.usefixtures("has_poses")
def test_a_real_clip_is_watched(tiny_bundle: Path, data_dir: Path) -> None:
    clip = data_dir / "videos" / "clips" / "omartarek198_jump.mp4"
    with watch(tiny_bundle, str(clip), "--json", "--top-k", "1") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    last = json.loads(out.splitlines()[-1])
    assert [person["id"] for person in last["persons"]] == [0]
    assert last["actions"] == last["persons"][0]["actions"]
