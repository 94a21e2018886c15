"""Video to SkeletonSequence, from end to end, in this process; `extractor` runs it in workers."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from jaxtyping import Float32, Float64

from c2vl_serve.pose.container import VideoLimits
from c2vl_serve.pose.estimator import FramePoses, PoseEstimator
from c2vl_serve.pose.overlay import OverlayStrip
from c2vl_serve.pose.timeline import Timeline, at_constant_rate
from c2vl_serve.pose.tracking import PersonTracks, track_persons
from c2vl_serve.pose.video import FrameReport, VideoReader
from c2vl_serve.pose.views import view_of
from c2vl_serve.skeleton.layout import MEDIAPIPE33
from c2vl_serve.skeleton.sequence import SkeletonSequence

POSE_FPS = 15.0  # frames per second; joints move 0.34 cm on average against every frame at 30


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseExtraction:
    """What was found in a video.

    Attributes:
        sequence: the M persons, clearest first, in MediaPipe's axes: metres, hips at the origin
            (where a person is in the room is not known), y down, z negative toward the camera.
            None where nobody was found.
        image_joints: the same joints as parts of the picture's width and height; 0 where the
            person is not seen. M is 0 where nobody was found.
        aspect: width / height of the pictures.
        timestamps: of the T frames, seconds from the first frame of the video.
        frames: what became of the video's frames.
        notes: sentences for whoever reads the answer.
        timing_ms: milliseconds spent, keys ``decode`` and ``pose``.
        overlay: a WebP picture, where one was asked for.
    """

    sequence: SkeletonSequence | None
    image_joints: Float32[np.ndarray, "T M 33 2"]
    aspect: float
    timestamps: Float64[np.ndarray, " T"]
    frames: FrameReport
    notes: tuple[str, ...]
    timing_ms: dict[str, float]
    overlay: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Watched:
    """All frames of a clip, seen one by one."""

    poses: list[FramePoses]
    times: Float64[np.ndarray, " T"]
    aspect: float  # width / height
    views: Float32[np.ndarray, "T 9 16"]
    strip: OverlayStrip | None
    timing_ms: dict[str, float]


def extract_pose(
    source: bytes | Path,
    *,
    model: Path,
    max_persons: int = 2,
    limits: VideoLimits | None = None,
    draw: bool = False,
) -> PoseExtraction:
    """Find the people in a video and follow their joints, 15 times a second.

    Args:
        source: a video file's path, or its content.
        model: the file from :func:`c2vl_serve.pose.find_pose_model`.
        max_persons: how many people to keep. One is cheaper and steadier than two.
        limits: what is refused.
        draw: also draw an overlay.

    Raises:
        SequenceError: the video cannot be used.
        RuntimeUnavailable: PyAV, MediaPipe, a system library or the model is missing.

    Example::

        found = extract_pose(Path("jump.mp4"), model=find_pose_model())
        found.sequence.joints.shape  # (31, 1, 33, 3)
    """
    with VideoReader(source, limits=limits) as video:
        with PoseEstimator(model, num_poses=max_persons) as estimator:
            watched = _watch(video, estimator, OverlayStrip() if draw else None)
        report, notes = video.report(), video.notes
    tracks = track_persons(
        watched.poses,
        watched.times,
        max_persons=max_persons,
        aspect=watched.aspect,
        views=watched.views,
        smooth=max_persons > 1,  # with one pose MediaPipe has smoothed already
    )
    timeline = at_constant_rate(tracks, watched.times, fps=POSE_FPS)
    strip = watched.strip
    return PoseExtraction(
        sequence=sequence_of(timeline),
        image_joints=timeline.tracks.image,
        aspect=watched.aspect,
        timestamps=timeline.times,
        frames=report,
        notes=notes + _notes_on_people(tracks),
        timing_ms=watched.timing_ms,
        overlay=strip.render(tracks.image, tracks.visibility) if strip else None,
    )


def _watch(video: VideoReader, estimator: PoseEstimator, strip: OverlayStrip | None) -> _Watched:
    poses: list[FramePoses] = []
    times: list[float] = []
    views: list[np.ndarray] = []
    spent = {"decode": 0.0, "pose": 0.0}
    aspect = 1.0
    start = perf_counter()
    for time, image in video.frames(POSE_FPS):
        spent["decode"] += perf_counter() - start
        start = perf_counter()
        poses.append(estimator.estimate(image, time))
        spent["pose"] += perf_counter() - start
        start = perf_counter()
        times.append(time)
        views.append(view_of(image))
        aspect = image.shape[1] / image.shape[0]
        if strip is not None:
            strip.add(len(times) - 1, image)
    spent["decode"] += perf_counter() - start
    return _Watched(
        poses=poses,
        times=np.array(times, np.float64),
        aspect=aspect,
        views=np.stack(views),
        strip=strip,
        timing_ms={stage: round(1000 * seconds, 3) for stage, seconds in spent.items()},
    )


def sequence_of(timeline: Timeline) -> SkeletonSequence | None:
    """The persons of a timeline; None where there is nobody."""
    if timeline.tracks.world.shape[1] == 0:
        return None
    return SkeletonSequence(
        joints=timeline.tracks.world,
        visibility=timeline.tracks.visibility,
        fps=timeline.fps,
        layout=MEDIAPIPE33,
    )


def _notes_on_people(tracks: PersonTracks) -> tuple[str, ...]:
    num_persons = tracks.world.shape[1]
    if num_persons == 0:
        return ("no person was found in the video",)
    if tracks.num_dropped:
        people = "person was" if tracks.num_dropped == 1 else "persons were"
        return (f"{tracks.num_dropped} more {people} seen; only the clearest {num_persons} kept",)
    return ()
