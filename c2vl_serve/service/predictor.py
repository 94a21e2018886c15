"""Predictor: bytes of a skeleton or a video -> Prediction; blocking, shared by HTTP and CLI."""

import base64
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter

import orjson

from c2vl_serve.errors import SequenceError
from c2vl_serve.pose import PoseExtraction
from c2vl_serve.recognition.answers import Recognition
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.bodies import Upload
from c2vl_serve.service.drawable import add_poses, in_picture, in_room
from c2vl_serve.service.pose_pool import PosePool
from c2vl_serve.service.problems import Problem
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.schemas import Frames, Prediction, TimingMs
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.skeleton.formats import (
    FieldError,
    ReadOptions,
    read_sequence,
    sequence_from_dict,
    sequence_from_npy,
)
from c2vl_serve.skeleton.sequence import SkeletonSequence

# Bytes. Parsed, a body takes up to ten times its size; those above are decoded one at a time.
LARGE_BODY = 2**22
# JSON arrays and objects in one body: 3 million joints, a long way beyond what fits as text.
MAX_CONTAINERS = 4_000_000


class Predictor:
    """Answers inputs with the recogniser; videos go through the pose pool first.

    Args:
        recognizer: loaded and verified.
        poses: where videos become skeletons.
        settings: its limits are applied.
    """

    def __init__(
        self, recognizer: ActionRecognizer, poses: PosePool, settings: ServiceSettings
    ) -> None:
        self.recognizer = recognizer
        self._poses = poses
        self._settings = settings
        self._large = threading.Lock()

    def skeleton(self, upload: Upload, query: PredictQuery) -> Prediction:
        """The answer to a skeleton.

        Raises:
            Problem: the body is not JSON although it says so.
            SequenceError: the skeleton cannot be used.
        """
        begun = perf_counter()
        options = query.read_options(self._settings.sequence_limits)
        with self._large if len(upload.data) > LARGE_BODY else nullcontext():
            sequence = _decode(upload, options)
        decode = 1000 * (perf_counter() - begun)
        recognition = self._recognise(sequence, query)
        T = sequence.num_frames
        notes = ["draw applies to videos; a skeleton has no picture"] if query.draw else []
        prediction = self._prediction(
            recognition,
            frames=Frames(read=T, used=T, fps=sequence.fps, complete=True),
            notes=notes,
            timing_ms={"decode": decode},
            begun=begun,
        )
        if query.joints:
            add_poses(prediction, in_room(sequence))
        return prediction

    def video(
        self,
        source: bytes | Path,
        query: PredictQuery,
        abandoned: threading.Event | None = None,
    ) -> Prediction:
        """The answer to a video, given as its content or its path.

        Args:
            source: anything that FFmpeg decodes.
            query: how to answer.
            abandoned: set when nobody waits for the answer any more.

        Raises:
            SequenceError: the video cannot be used.
            RuntimeUnavailable: poses cannot be estimated here, or took too long.
        """
        begun = perf_counter()
        found = self._poses.extractor().extract(
            source, max_persons=query.persons, draw=query.draw, cancel=abandoned
        )
        recognition = (
            Recognition(actions=(), recognised=False, persons=(), notes=(), timing_ms={})
            if found.sequence is None
            else self._recognise(found.sequence, query)
        )
        prediction = self._prediction(
            recognition,
            frames=Frames(
                read=found.frames.read,
                used=found.frames.used,
                fps=found.frames.fps,
                complete=found.frames.complete,
            ),
            notes=[*found.notes],
            timing_ms=found.timing_ms,
            begun=begun,
            overlay=_data_uri(found),
        )
        if query.joints:
            add_poses(prediction, in_picture(found))
        return prediction

    def _recognise(self, sequence: SkeletonSequence, query: PredictQuery) -> Recognition:
        return self.recognizer.recognise(
            sequence,
            top_k=query.top_k,
            window=query.window,
            stride=query.stride,
            max_persons=query.persons,
        )

    def _prediction(
        self,
        recognition: Recognition,
        *,
        frames: Frames,
        notes: list[str],
        timing_ms: Mapping[str, float],
        begun: float,
        overlay: str | None = None,
    ) -> Prediction:
        total = 1000 * (perf_counter() - begun)
        spent = {**timing_ms, **recognition.timing_ms, "total": total}
        return Prediction.of(
            recognition,
            bundle=self.recognizer.bundle.card.identity,
            runtime=self.recognizer.runtime.name,
            frames=frames,
            notes=[*notes, *recognition.notes],
            timing_ms=TimingMs(**{stage: round(ms, 3) for stage, ms in spent.items()}),
            overlay=overlay,
        )


def _decode(upload: Upload, options: ReadOptions) -> SkeletonSequence:
    """The sequence in an upload; only a JSON body's faults are pointed at."""
    if upload.file_type == "json":
        _check_containers(upload.data)
    if upload.is_body and upload.file_type == "json":
        try:
            body = orjson.loads(upload.data)
        except orjson.JSONDecodeError as error:
            detail = f"the body is not JSON: {error}"
            raise Problem(400, detail, errors=[{"pointer": "#", "detail": detail}]) from error
        return sequence_from_dict(body, options)
    try:
        if upload.is_body:
            return sequence_from_npy(upload.data, options)
        return read_sequence(upload.data, options)
    except FieldError as error:
        raise SequenceError(str(error)) from error


def _check_containers(data: bytes) -> None:
    """Refuse text that is mostly brackets: three bytes of it take a hundred when parsed."""
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS:
        raise SequenceError(
            f"the JSON has more than {MAX_CONTAINERS} lists; send joints as a flat list or base64 "
            "with shape, or as .npy"
        )


def _data_uri(found: PoseExtraction) -> str | None:
    if found.overlay is None:
        return None
    return "data:image/webp;base64," + base64.b64encode(found.overlay).decode("ascii")
