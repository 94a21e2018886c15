"""LivePoses: a worker process that estimates poses picture by picture, for as long as it is asked.

The pictures come from a camera and are decoded by who asks; MediaPipe is confined as it is for
videos (`worker`).
"""

import multiprocessing
import struct
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose.estimator import FramePoses, PoseEstimator
from c2vl_serve.pose.worker import READY, confine
from c2vl_serve.skeleton.layout import MEDIAPIPE33

_PICTURE = struct.Struct("<dII")  # seconds, height, width; the pixels follow
_START_SECONDS = 60.0  # importing MediaPipe, on a cold disk
_ANSWER_SECONDS = 30.0
_STOP_SECONDS = 2.0
_MEMORY_BYTES = 2 * 1024**3
_NUM_NUMBERS = 6  # of a joint: x, y, z in the world; x, y in the picture; visibility


class LivePoses:
    """Poses of one endless clip, estimated in a process of its own.

    Args:
        model: the file from :func:`c2vl_serve.pose.find_pose_model`.
        num_poses: the most poses in a picture.

    Raises:
        RuntimeUnavailable: the process does not start; the message says what is missing.
    """

    def __init__(self, model: Path, *, num_poses: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, model, num_poses), name="c2vl-live-pose", daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            self._received(_START_SECONDS)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "LivePoses":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def estimate(self, image: UInt8[np.ndarray, "H W 3"], time: float) -> FramePoses:
        """Poses in the next picture (RGB), taken at ``time`` seconds; times increase.

        Raises:
            RuntimeUnavailable: the process died or hangs.
        """
        height, width = image.shape[:2]
        try:
            self._connection.send_bytes(_PICTURE.pack(time, height, width))
            self._connection.send_bytes(np.ascontiguousarray(image).data.cast("B"))
        except OSError as error:
            raise RuntimeUnavailable("the pose worker died; start again") from error
        return _to_poses(self._received(_ANSWER_SECONDS))

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_STOP_SECONDS)

    def _received(self, seconds: float) -> bytes:
        try:
            if not self._connection.poll(seconds):
                raise RuntimeUnavailable(
                    f"the pose worker did not answer within {seconds:g} s; start again"
                )
            is_fine, answer = self._connection.recv_bytes(), self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise RuntimeUnavailable("the pose worker died; start again") from error
        if is_fine != READY:
            raise RuntimeUnavailable(answer.decode())
        return answer


def _work(connection: Connection, model: Path, num_poses: int) -> None:
    """The process: two messages a picture come in, whether it went well and the answer go out."""
    confine(_MEMORY_BYTES)
    try:
        with PoseEstimator(model, num_poses=num_poses) as estimator:
            _say(connection, READY, b"")
            while True:
                time, height, width = _PICTURE.unpack(connection.recv_bytes())
                pixels = np.frombuffer(connection.recv_bytes(), np.uint8)
                found = estimator.estimate(pixels.reshape(height, width, 3), time)
                _say(connection, READY, _to_bytes(found))
    except EOFError:
        return
    except Exception as error:  # MediaPipe reports faults of its own in many types
        _say(connection, b"", f"pose estimation failed: {error}".encode())


def _say(connection: Connection, *parts: bytes) -> None:
    for part in parts:
        connection.send_bytes(part)


def _to_bytes(found: FramePoses) -> bytes:
    parts = [found.world, found.image, found.visibility[..., None]]
    return np.concatenate(parts, axis=-1).astype("<f4").tobytes()


def _to_poses(answer: bytes) -> FramePoses:
    numbers = np.frombuffer(answer, "<f4").reshape(-1, MEDIAPIPE33.num_joints, _NUM_NUMBERS)
    return FramePoses(
        world=numbers[..., :3].copy(),
        image=numbers[..., 3:5].copy(),
        visibility=numbers[..., 5].copy(),
    )
