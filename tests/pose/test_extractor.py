import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import RuntimeUnavailable, SequenceError
from c2vl_serve.pose import PoseExtractor, extract_pose


@pytest.fixture(scope="module")
def extractor(pose_model: Path) -> Iterator[PoseExtractor]:
    with PoseExtractor(pose_model, num_workers=1) as pool:
        yield pool


def worker_pid(pool: PoseExtractor) -> int:
    worker = pool._idle.get(timeout=30)
    pool._idle.put(worker)
    assert worker is not None
    assert worker.pid is not None
    return worker.pid


def test_same_answer_as_in_this_process(
    extractor: PoseExtractor, pose_model: Path, videos_dir: Path
) -> None:
    clip = videos_dir / "clips" / "nlarion_fight2.mp4"
    here = extract_pose(clip, model=pose_model)
    there = extractor.extract(clip.read_bytes())
    by_path = extractor.extract(clip)
    assert here.sequence is not None
    for found in (there, by_path):
        assert found.sequence is not None
        np.testing.assert_array_equal(found.sequence.joints, here.sequence.joints)
        assert found.frames == here.frames
    assert extractor.num_idle == extractor.num_workers == 1


def test_bad_video_leaves_the_worker_alone(extractor: PoseExtractor) -> None:
    pid = worker_pid(extractor)
    with pytest.raises(SequenceError, match="video is empty"):
        extractor.extract(b"")
    assert worker_pid(extractor) == pid


def test_killed_worker_is_replaced(extractor: PoseExtractor) -> None:
    pid = worker_pid(extractor)
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.2)
    with pytest.raises(SequenceError, match="video is empty"):  # answered by another
        extractor.extract(b"")
    assert worker_pid(extractor) != pid


def test_worker_that_dies_at_work_is_told(extractor: PoseExtractor, videos_dir: Path) -> None:
    pid = worker_pid(extractor)
    threading.Timer(0.4, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(RuntimeUnavailable, match=r"died \(exit code -9\)"):
        extractor.extract(videos_dir / "edge" / "rotated90_metadata.mp4")
    assert worker_pid(extractor) != pid


def test_hanging_worker_is_replaced(extractor: PoseExtractor) -> None:
    with pytest.raises(SequenceError):
        extractor.extract(b"")  # the worker is up
    pid = worker_pid(extractor)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(RuntimeUnavailable, match=r"not done after 0\.3 s"):
        extractor.extract(b"", timeout=0.3)
    assert worker_pid(extractor) != pid
    with pytest.raises(SequenceError):
        extractor.extract(b"")


def test_cancelled_and_busy_calls_end(extractor: PoseExtractor, videos_dir: Path) -> None:
    cancel = threading.Event()
    raised: list[Exception] = []

    def long_call() -> None:
        try:
            extractor.extract(videos_dir / "edge" / "rotated90_metadata.mp4", cancel=cancel)
        except RuntimeUnavailable as error:
            raised.append(error)

    thread = threading.Thread(target=long_call)
    thread.start()
    while extractor.num_idle:
        time.sleep(0.01)
    with pytest.raises(RuntimeUnavailable, match="waiting for a free pose worker was not done"):
        extractor.extract(b"", timeout=0.1)
    cancel.set()
    thread.join(timeout=10)
    assert "cancelled" in str(raised[0])


def test_workers_are_renewed_and_close(pose_model: Path) -> None:
    pool = PoseExtractor(pose_model, max_tasks=1)
    first = worker_pid(pool)
    with pytest.raises(SequenceError):
        pool.extract(b"")
    second = worker_pid(pool)
    assert second != first
    pool.close()
    for pid in (first, second):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(RuntimeUnavailable, match="extractor is closed"):
        pool.extract(b"")


def test_model_that_does_not_load_is_told_at_once(pose_model: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"not a model")
    with pytest.raises(RuntimeUnavailable, match="fetch-pose-model"):
        PoseExtractor(wrong)


def test_arguments_are_checked(pose_model: Path) -> None:
    with pytest.raises(ValueError, match="num_workers is 0"):
        PoseExtractor(pose_model, num_workers=0)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filter is Linux")
def test_network_is_denied_for_good() -> None:
    code = (
        "from c2vl_serve.pose.egress import deny_network\n"
        "import socket, sys\n"
        "if not deny_network(): sys.exit(3)\n"
        "socket.socket(socket.AF_UNIX).close()\n"
        "for family in (socket.AF_INET, socket.AF_INET6):\n"
        "    try: socket.socket(family)\n"
        "    except PermissionError: continue\n"
        "    sys.exit(4)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False)
    if done.returncode == 3:
        pytest.skip("this kernel or container refuses seccomp filters")
    assert done.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux")
def test_memory_is_limited() -> None:
    code = (
        "from c2vl_serve.pose.egress import limit_memory\n"
        "assert limit_memory(512 * 1024**2)\n"
        "try: bytearray(1024**3)\n"
        "except MemoryError: pass\n"
        "else: raise SystemExit('not limited')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_that_has_grown_is_replaced_and_skeletons_go_before_it(
    extractor: PoseExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SequenceError, match="video is empty"):  # it has started
        extractor.extract(b"")
    grown = extractor._idle.get(timeout=30)
    extractor._idle.put(grown)
    assert grown is not None
    pid = grown.pid
    assert pid is not None
    assert 2**26 < grown.resident_bytes < 2**30
    assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    monkeypatch.setattr(type(grown), "resident_bytes", 2**30 + 1)
    with pytest.raises(SequenceError, match="video is empty"):
        extractor.extract(b"")
    assert worker_pid(extractor) != pid
