"""Watcher: pictures in, what is seen in them now out.

It holds the poses of one window. Twice a second or so they are linked into persons and recognised
as a short video would be; frames in between only renew the picture.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from c2vl_serve.pose import POSE_FPS
from c2vl_serve.pose.estimator import FramePoses
from c2vl_serve.pose.extraction import sequence_of
from c2vl_serve.pose.timeline import at_constant_rate
from c2vl_serve.pose.tracking import track_persons
from c2vl_serve.pose.video import VideoFrame
from c2vl_serve.pose.views import view_of
from c2vl_serve.recognition.answers import PersonAnswer, Recognition
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.watch.person_ids import PersonIds

Estimate = Callable[[np.ndarray, float], FramePoses]

_FEWEST_FRAMES = 8  # half a second: less says nothing


class _Seen(NamedTuple):
    """One picture, without its pixels."""

    time: float
    poses: FramePoses
    view: Float32[np.ndarray, "9 16"]
    aspect: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moment:
    """What is known at one picture.

    Attributes:
        frame: the picture and its time.
        poses: found in it.
        found: the latest answer; None until enough was seen.
        is_new: the answer was made at this picture.
        fps: pictures a second that poses were estimated in, lately; 0 at first.
    """

    frame: VideoFrame
    poses: FramePoses
    found: Recognition | None
    is_new: bool
    fps: float

    @property
    def persons(self) -> list[PersonAnswer]:
        """Those of the latest answer by their numbers, so that no line jumps."""
        found = self.found.persons if self.found is not None else ()
        return sorted(found, key=lambda person: person.id)


@dataclass(kw_only=True, slots=True)
class Watcher:
    """Follows one clip without an end.

    Attributes:
        recognizer: answers.
        estimate: finds the poses in a picture (RGB) taken at so many seconds.
        persons: at most.
        top_k: actions for each person.
        stride: seconds between answers.
    """

    recognizer: ActionRecognizer
    estimate: Estimate
    persons: int = 1
    top_k: int = 5
    stride: float = 0.5
    _seen: deque[_Seen] = field(default_factory=deque)
    _ids: PersonIds = field(default_factory=PersonIds)
    _found: Recognition | None = None
    _answered_at: float = -np.inf

    def see(self, frame: VideoFrame) -> Moment:
        """Take the next picture.

        Raises:
            RuntimeUnavailable: poses cannot be estimated any more.
        """
        poses = self.estimate(frame.image, frame.time)
        self._remember(frame, poses)
        is_due = frame.time - self._answered_at >= self.stride
        is_new = is_due and len(self._seen) >= _FEWEST_FRAMES
        if is_new:
            self._found = self._recognised()
            self._answered_at = frame.time
        return Moment(frame=frame, poses=poses, found=self._found, is_new=is_new, fps=self._fps())

    def _remember(self, frame: VideoFrame, poses: FramePoses) -> None:
        height, width = frame.image.shape[:2]
        self._seen.append(_Seen(frame.time, poses, view_of(frame.image), width / height))
        window = self.recognizer.bundle.card.preprocessing.window_seconds
        while frame.time - self._seen[0].time >= window - 0.5 / POSE_FPS:
            self._seen.popleft()

    def _recognised(self) -> Recognition:
        times = np.array([seen.time for seen in self._seen])
        tracks = track_persons(
            [seen.poses for seen in self._seen],
            times,
            max_persons=self.persons,
            aspect=self._seen[-1].aspect,
            views=np.stack([seen.view for seen in self._seen]),
            smooth=self.persons > 1,  # with one pose MediaPipe has smoothed already
        )
        ids = self._ids.of(tracks, times)
        sequence = sequence_of(at_constant_rate(tracks, times, fps=POSE_FPS))
        if sequence is None:
            return Recognition(actions=(), recognised=False, persons=(), notes=(), timing_ms={})
        sequence = replace(sequence, person_ids=ids)
        return self.recognizer.recognise(sequence, top_k=self.top_k, max_persons=self.persons)

    def _fps(self) -> float:
        seconds = self._seen[-1].time - self._seen[0].time
        return (len(self._seen) - 1) / seconds if seconds > 0 else 0.0
