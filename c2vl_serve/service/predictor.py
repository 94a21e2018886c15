"""Predictor: bytes of a skeleton or a video -> Prediction, in steps; shared by HTTP and CLI.

    decode | watch              bytes -> a sequence
    ask                         a sequence -> windows that wait for the network
    answer                      the network's outputs -> Prediction

The command line takes them in a row; the service has a queue before the last.
"""

import base64
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import orjson
from pydantic import BaseModel

from c2vl_serve.errors import SequenceError
from c2vl_serve.pose import PoseExtraction
from c2vl_serve.recognition.embedding import Embedding
from c2vl_serve.recognition.gallery_store import MEMORY, GalleryStore
from c2vl_serve.recognition.judging import Judge, judge_of
from c2vl_serve.recognition.preparation import Prepared, nobody
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.service.bodies import Upload
from c2vl_serve.service.drawable import PoseOf, in_picture, in_room, with_poses
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


_NO_STAGE = dict.fromkeys(TimingMs.model_fields, 0.0)
Answer: TypeAlias = dict[str, Any]  # as schemas.Prediction describes it, of recognition's values


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Decoded:
    """An input as a sequence, and what the answer has to tell about it.

    Attributes:
        sequence: None where a video shows nobody.
        frames: what became of the input's frames.
        notes: sentences for the answer.
        timing_ms: spent so far, by stage.
        begun: by ``perf_counter``.
        overlay: a ``data:`` URI, where one was asked for.
        pose_of: a person's joints to be drawn, where they were asked for.
    """

    sequence: SkeletonSequence | None
    frames: Frames
    notes: tuple[str, ...]
    timing_ms: Mapping[str, float]
    begun: float
    overlay: str | None = None
    pose_of: PoseOf | None = None

    def spent(self, stages: Mapping[str, float]) -> dict[str, float]:
        """All milliseconds so far, with those of the stages that followed."""
        total = 1000 * (perf_counter() - self.begun)
        spent = {**_NO_STAGE, **self.timing_ms, **stages, "total": total}
        return {stage: round(ms, 3) for stage, ms in spent.items()}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Asked:
    """An input that only waits for the network, and who will judge what the network says."""

    decoded: Decoded
    prepared: Prepared
    judge: Judge


class Predictor:
    """Answers inputs with the recogniser; videos go through the pose pool first.

    Args:
        recognizer: loaded and verified.
        poses: where videos become skeletons.
        settings: its limits are applied.
        gallery: enrolled actions that are answered beside the labels.
    """

    def __init__(
        self,
        recognizer: ActionRecognizer,
        poses: PosePool,
        settings: ServiceSettings,
        gallery: GalleryStore | None = None,
    ) -> None:
        self.recognizer = recognizer
        self.gallery = gallery or GalleryStore(MEMORY, recognizer.bundle)
        self._poses = poses
        self._limits = settings.sequence_limits
        self._large = threading.Lock()

    def skeleton(self, upload: Upload, query: PredictQuery) -> Prediction:
        """The answer to a skeleton.

        Raises:
            Problem: the body is not JSON although it says so.
            SequenceError: the skeleton cannot be used.
            LabelError: the query asks for labels that are not known.
        """
        return self._at_once(self.decode(upload, query), query)

    def video(self, source: bytes | Path, query: PredictQuery) -> Prediction:
        """The answer to a video, given as its content or its path.

        Raises:
            SequenceError: the video cannot be used.
            RuntimeUnavailable: poses cannot be estimated here, or took too long.
            LabelError: the query asks for labels that are not known.
        """
        return self._at_once(self.watch(source, query), query)

    def decode(self, upload: Upload, query: PredictQuery) -> Decoded:
        """The sequence in an upload.

        Raises:
            Problem: the body is not JSON although it says so.
            SequenceError: it holds no skeleton that can be used.
        """
        begun = perf_counter()
        options = query.read_options(self._limits)
        with self._large if len(upload.data) > LARGE_BODY else nullcontext():
            sequence = _decode(upload, options)
        T = sequence.num_frames
        return Decoded(
            sequence=sequence,
            frames=Frames(read=T, used=T, fps=sequence.fps, complete=True),
            notes=("draw applies to videos; a skeleton has no picture",) if query.draw else (),
            timing_ms={"decode": 1000 * (perf_counter() - begun)},
            begun=begun,
            pose_of=in_room(sequence) if query.joints else None,
        )

    def watch(
        self,
        source: bytes | Path,
        query: PredictQuery,
        abandoned: threading.Event | None = None,
    ) -> Decoded:
        """The people in a video; blocks while a pose worker watches it.

        Args:
            source: anything that FFmpeg decodes, or where it lies.
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
        return Decoded(
            sequence=found.sequence,
            frames=Frames(
                read=found.frames.read,
                used=found.frames.used,
                fps=found.frames.fps,
                complete=found.frames.complete,
            ),
            notes=found.notes,
            timing_ms=found.timing_ms,
            begun=begun,
            overlay=_data_uri(found),
            pose_of=in_picture(found) if query.joints else None,
        )

    def judge(self, query: PredictQuery) -> Judge:
        """Who will score what the network says: labels and enrolled actions, or texts.

        Raises:
            LabelError: the query asks for labels that are not known.
        """
        return judge_of(self.recognizer.bundle, self.gallery.gallery, query.asked_labels)

    def ask(self, decoded: Decoded, query: PredictQuery) -> Asked:
        """The windows of a sequence.

        Raises:
            SequenceError: when the sequence cannot be used by this bundle.
            LabelError: the query asks for labels that are not known.
        """
        if decoded.sequence is None:
            prepared = nobody(self.recognizer.bundle.card.preprocessing)
        else:
            prepared = self.recognizer.prepare(
                decoded.sequence,
                window=query.window,
                stride=query.stride,
                max_persons=query.persons,
            )
        return Asked(decoded=decoded, prepared=prepared, judge=self.judge(query))

    def embed(self, decoded: Decoded, query: PredictQuery) -> Embedding:
        """What each person did, as a direction; nobody where a video shows none.

        Raises:
            SequenceError: when the sequence cannot be used by this bundle.
        """
        if decoded.sequence is None:
            return Embedding(persons=(), notes=(), timing_ms={})
        return self.recognizer.embed(decoded.sequence, max_persons=query.persons)

    def answer(
        self, asked: Asked, outputs: Outputs, query: PredictQuery, *, inference_ms: float
    ) -> Answer:
        """What the network's outputs say about what was asked; :func:`spelled` makes it JSON."""
        recognition = self.recognizer.answer(
            asked.prepared,
            outputs,
            top_k=query.top_k,
            inference_ms=inference_ms,
            judge=asked.judge,
        )
        decoded = asked.decoded
        answer = {
            "bundle": self.recognizer.bundle.card.identity,
            "runtime": self.recognizer.runtime.name,
            "actions": recognition.actions,
            "recognised": recognition.recognised,
            "persons": with_poses(recognition.persons, decoded.pose_of),
            "frames": decoded.frames,
            "notes": [*decoded.notes, *recognition.notes],
            "timing_ms": decoded.spent(recognition.timing_ms),
        }
        return answer if decoded.overlay is None else {**answer, "overlay": decoded.overlay}

    def _at_once(self, decoded: Decoded, query: PredictQuery) -> Prediction:
        asked = self.ask(decoded, query)
        begun = perf_counter()
        outputs = self.recognizer.run(asked.prepared.inputs)
        spent = 1000 * (perf_counter() - begun)
        answer = self.answer(asked, outputs, query, inference_ms=spent)
        return Prediction.model_validate(answer, from_attributes=True)


def spelled(answer: Answer) -> bytes:
    """The answer as JSON."""
    return orjson.dumps(answer, default=_fields)


def _fields(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(exclude_none=True)


def _decode(upload: Upload, options: ReadOptions) -> SkeletonSequence:
    """The sequence in an upload; only a JSON body's faults are pointed at."""
    if upload.file_type == "json":
        check_containers(upload.data)
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


def check_containers(data: bytes) -> None:
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
