"""One picture in, the poses of the people in it out: a thin wrap of MediaPipe's landmarker."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.skeleton.layout import MEDIAPIPE33

_NUM_JOINTS = MEDIAPIPE33.num_joints


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FramePoses:
    """The P poses found in one picture, best first; P may be 0.

    Attributes:
        world: metres, hips at the origin; x right in the picture, y down, z negative toward the
            camera.
        image: x and y as parts of the picture's width and height.
        visibility: 0 to 1.
    """

    world: Float32[np.ndarray, "P 33 3"]
    image: Float32[np.ndarray, "P 33 2"]
    visibility: Float32[np.ndarray, "P 33"]

    @property
    def num_poses(self) -> int:
        """P."""
        return int(self.world.shape[0])

    def select(self, indices: list[int]) -> "FramePoses":
        """The poses at these positions, in this order."""
        return FramePoses(
            world=self.world[indices],
            image=self.image[indices],
            visibility=self.visibility[indices],
        )


def _load_mediapipe() -> tuple[ModuleType, ModuleType]:
    try:
        import mediapipe
        from mediapipe.tasks import python as tasks
    except ImportError as error:
        raise RuntimeUnavailable(
            f"poses cannot be estimated: MediaPipe is not usable ({error}); "
            "install it with: pip install 'c2vl-serve[pose]'"
        ) from error
    return mediapipe, tasks


class PoseEstimator:
    """MediaPipe's landmarker for one clip, on one core.

    It follows people from frame to frame, so it wants the frames of one clip in order, and every
    clip wants a new one. With ``num_poses`` = 1 MediaPipe smooths its joints itself, with more
    it does not (see `smoothing`).

    Args:
        model: the file from :func:`c2vl_serve.pose.find_pose_model`.
        num_poses: the most poses in a frame.

    Raises:
        RuntimeUnavailable: MediaPipe, a system library or the model is missing.
    """

    def __init__(self, model: Path, *, num_poses: int) -> None:
        self._mediapipe, tasks = _load_mediapipe()
        options = tasks.vision.PoseLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(model)),
            running_mode=tasks.vision.RunningMode.VIDEO,
            num_poses=num_poses,
        )
        self._landmarker: Any = None
        self._last_milliseconds = -1
        try:
            self._landmarker = tasks.vision.PoseLandmarker.create_from_options(options)
        except OSError as error:  # the shared library itself does not load
            raise RuntimeUnavailable(
                f"MediaPipe does not start: {error}; on Debian or Ubuntu install what it needs "
                "with: apt-get install libegl1 libgles2"
            ) from error
        except (RuntimeError, ValueError) as error:
            raise RuntimeUnavailable(
                f"MediaPipe does not take the pose model {model}: {error}; "
                "run: c2vl-serve fetch-pose-model"
            ) from error

    def __enter__(self) -> "PoseEstimator":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the networks; a second call does nothing."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    def estimate(self, image: UInt8[np.ndarray, "H W 3"], time: float) -> FramePoses:
        """Poses in the clip's next picture (RGB), which was taken at ``time`` seconds.

        Raises:
            RuntimeError: the estimator is closed, or ``time`` is before the last picture's;
                MediaPipe would answer the first with silence and the second with a dead graph.
        """
        if self._landmarker is None:
            raise RuntimeError("this pose estimator is closed; make a new one for each clip")
        milliseconds = round(time * 1000)
        if milliseconds < self._last_milliseconds:
            raise RuntimeError(
                f"frame at {milliseconds} ms came after one at {self._last_milliseconds} ms; "
                "give a clip's frames in order, and each clip its own estimator"
            )
        self._last_milliseconds = max(milliseconds, self._last_milliseconds + 1)
        picture = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        return _to_poses(self._landmarker.detect_for_video(picture, self._last_milliseconds))


def _to_poses(result: Any) -> FramePoses:
    world = [[(p.x, p.y, p.z) for p in pose] for pose in result.pose_world_landmarks]
    image = [[(p.x, p.y, p.visibility) for p in pose] for pose in result.pose_landmarks]
    flat = np.array(image, np.float32).reshape(-1, _NUM_JOINTS, 3)
    return FramePoses(
        world=np.array(world, np.float32).reshape(-1, _NUM_JOINTS, 3),
        image=flat[..., :2].copy(),
        visibility=np.clip(flat[..., 2], 0.0, 1.0),
    )
