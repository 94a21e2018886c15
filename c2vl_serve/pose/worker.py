"""The body of a pose worker process: one core, no network, bounded memory, one clip at a time."""

import faulthandler
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from c2vl_serve.errors import C2VLError, RuntimeUnavailable
from c2vl_serve.pose.egress import deny_network, limit_memory
from c2vl_serve.pose.estimator import PoseEstimator
from c2vl_serve.pose.extraction import extract_pose
from c2vl_serve.pose.messages import Task, pack_error, pack_extraction

READY = b"ready"

# A video takes seconds and a skeleton milliseconds: where both want the core, skeletons go first.
_NICENESS = 10

_ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def run_worker(connection: Connection, model: Path, memory_bytes: int) -> None:
    """Answer tasks until the other end is closed.

    The first message is `READY` or a packed error, then one answer follows each task.
    """
    confine(memory_bytes)
    try:
        PoseEstimator(model, num_poses=1).close()  # MediaPipe and the model work
    except RuntimeUnavailable as error:
        connection.send_bytes(pack_error(error))
        return
    connection.send_bytes(READY)
    while True:
        try:
            task = Task.unpack(connection.recv_bytes(), connection.recv_bytes())
        except (EOFError, OSError):
            return
        connection.send_bytes(_answer(task, model))


def confine(memory_bytes: int) -> None:
    """Give this process one core, bounded memory and no network, for good."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ.update(_ONE_CORE)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    _silence_native_log()
    deny_network()
    limit_memory(memory_bytes)


def _silence_native_log() -> None:
    """Leave stderr to Python.

    MediaPipe's C++ code writes several lines a clip there, nothing that a reader could act on,
    and takes no setting that stops it.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    faulthandler.enable(sys.stderr)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _answer(task: Task, model: Path) -> bytes:
    try:
        found = extract_pose(
            task.source,
            model=model,
            max_persons=task.max_persons,
            limits=task.limits,
            draw=task.draw,
        )
        return pack_extraction(found)
    except C2VLError as error:
        return pack_error(error)
    except Exception as error:
        # FFmpeg and MediaPipe report faults of their own and lack of memory in many types.
        return pack_error(
            RuntimeUnavailable(
                f"pose estimation failed on this video ({type(error).__name__}: {error}); "
                "send a smaller or re-encoded video, or try again"
            )
        )
