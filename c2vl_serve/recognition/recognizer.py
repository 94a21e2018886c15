"""ActionRecognizer: a SkeletonSequence in, a Recognition out, in three steps.

    prepare   sequence -> windows          numpy
    run       windows -> outputs           the runtime; windows of many sequences at once
    answer    outputs -> Recognition       numpy

:meth:`ActionRecognizer.recognise` takes all three; a service puts a queue before the second.
"""

import time
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from c2vl_serve.bundle import ModelBundle, load_bundle
from c2vl_serve.errors import SequenceError
from c2vl_serve.recognition.answers import (
    ActionScore,
    PersonAnswer,
    Recognition,
    WindowAnswer,
)
from c2vl_serve.recognition.embedding import Embedding, embedded
from c2vl_serve.recognition.gallery import Gallery
from c2vl_serve.recognition.judging import Judge, LabelJudge, Verdict, judge_of
from c2vl_serve.recognition.preparation import Prepared, PreparedPerson, prepare
from c2vl_serve.recognition.runtime import Outputs, Runtime, verify
from c2vl_serve.recognition.runtimes import load_runtime
from c2vl_serve.recognition.segment_answers import segment_answers
from c2vl_serve.recognition.timeline import Span
from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_serve.skeleton.preprocessing import preprocess
from c2vl_serve.skeleton.sampling import (
    MIN_SEEN_FRAMES,
    WindowChoice,
    summed_up,
)
from c2vl_serve.skeleton.sequence import SkeletonSequence


class ActionRecognizer:
    """Recognises actions with one bundle on one runtime; safe to use from several threads.

    Example:
        >>> recognizer = ActionRecognizer.load("everyday")
        >>> recognizer.recognise(sequence).actions[0].label  # doctest: +SKIP

    Raises:
        BundleError: when the runtime does not reproduce the bundle's golden sample.
    """

    def __init__(self, bundle: ModelBundle, runtime: Runtime) -> None:
        verify(runtime, bundle)
        self.bundle = bundle
        self.runtime = runtime

    @cached_property
    def num_features(self) -> int:
        """D: numbers in a representation, as the golden sample has it."""
        golden = preprocess(self.bundle.golden.sequence, self.bundle.card.preprocessing)
        return int(self.run(golden).representation.shape[1])

    @classmethod
    def load(
        cls, name_or_path: str | Path = "everyday", *, provider: str = "cpu"
    ) -> "ActionRecognizer":
        """The shipped bundle of this name, or one in a folder, on the runtime it was made for.

        Raises:
            BundleError: when the bundle is inconsistent.
            RuntimeUnavailable: when the runtime or the provider is missing.
        """
        bundle = load_bundle(name_or_path)
        return cls(bundle, load_runtime(bundle, provider=provider))

    def recognise(
        self,
        sequence: SkeletonSequence,
        *,
        top_k: int = 5,
        window: float | None = None,
        stride: float | None = None,
        max_persons: int = 2,
        gallery: Gallery | None = None,
        labels: tuple[str, ...] = (),
    ) -> Recognition:
        """What each person does.

        Args:
            sequence: any layout that can be converted to the bundle's, 3-D.
            top_k: labels to answer with.
            window: seconds of a timeline entry; the model's own window unless given.
            stride: seconds between entries; half a window unless given.
            max_persons: how many persons to answer for, clearest first.
            gallery: enrolled actions that are answered beside the labels.
            labels: names that alone compete: labels, enrolled actions, or texts of the bundle.

        Raises:
            SequenceError: when the sequence cannot be used by this bundle.
            LabelError: when ``labels`` names what is not known.
        """
        judge = judge_of(self.bundle, gallery, labels)
        prepared = self.prepare(sequence, window=window, stride=stride, max_persons=max_persons)
        outputs, spent = self._timed(prepared.inputs)
        return self.answer(prepared, outputs, top_k=top_k, inference_ms=spent, judge=judge)

    def embed(self, sequence: SkeletonSequence, *, max_persons: int = 2) -> Embedding:
        """The representation of what each person does, of unit length; for search and galleries.

        Args:
            sequence: as for :meth:`recognise`.
            max_persons: how many persons, clearest first.

        Raises:
            SequenceError: when the sequence cannot be used by this bundle.
        """
        prepared = self.prepare(sequence, max_persons=max_persons)
        return embedded(prepared, *self._timed(prepared.inputs))

    def prepare(
        self,
        sequence: SkeletonSequence,
        *,
        window: float | None = None,
        stride: float | None = None,
        max_persons: int = 2,
    ) -> Prepared:
        """The first step: the windows that an answer needs; arguments as in :meth:`recognise`.

        Raises:
            SequenceError: when the sequence cannot be used by this bundle.
        """
        if sequence.joints.shape[-1] != 3:
            raise SequenceError(
                f"joints are 2-D (x, y) but bundle {self.bundle.card.name!r} needs 3-D (x, y, z); "
                "lift them first, or send a video or 3-D joints"
            )
        return prepare(
            sequence,
            self.bundle.card.preprocessing,
            window=window,
            stride=stride,
            max_persons=max_persons,
        )

    def run(self, inputs: ModelInput) -> Outputs:
        """The second step: what the network says of windows, of one sequence or of many."""
        if len(inputs) == 0:
            nothing = np.empty((0, len(self.bundle.card.labels)), np.float32)
            return Outputs(logits=nothing, representation=nothing[:, :0])
        return Outputs(*self.runtime.run(inputs))

    def _timed(self, inputs: ModelInput) -> tuple[Outputs, float]:
        """The second step and the milliseconds that it took."""
        started = time.perf_counter()
        outputs = self.run(inputs)
        return outputs, (time.perf_counter() - started) * 1e3

    def answer(
        self,
        prepared: Prepared,
        outputs: Outputs,
        *,
        top_k: int = 5,
        inference_ms: float = 0.0,
        judge: Judge | None = None,
    ) -> Recognition:
        """The third step: what the outputs say about each person.

        Args:
            prepared: from :meth:`prepare`.
            outputs: of its inputs, row by row.
            top_k: labels to answer with.
            inference_ms: milliseconds that the second step took, for the answer to tell.
            judge: who scores the outputs; the bundle's labels unless given.
        """
        judge = judge or LabelJudge(card=self.bundle.card)
        scores = judge.scores(outputs) if prepared.persons else np.empty((0, len(judge.names)))
        fps = self.bundle.card.preprocessing.fps
        persons = tuple(_person(person, scores, judge, top_k, fps) for person in prepared.persons)
        return Recognition(
            actions=persons[0].actions if persons else (),
            recognised=bool(persons) and persons[0].recognised,
            persons=persons,
            notes=prepared.notes,
            timing_ms={"preprocess": prepared.milliseconds, "inference": inference_ms},
        )


def _person(
    person: PreparedPerson,
    scores: Float64[np.ndarray, "N K"],
    judge: Judge,
    top_k: int,
    fps: float,
) -> PersonAnswer:
    verdict = _verdict(person, person.whole, scores, judge)
    enough = float(person.whole.seen_frames.max()) >= MIN_SEEN_FRAMES
    return PersonAnswer(
        id=person.id,
        actions=_top(verdict, top_k),
        recognised=enough and verdict.recognised,
        windows=tuple(_window(person, span, scores, judge, top_k) for span in person.timeline),
        segments=segment_answers(person, scores, judge, fps),
    )


def _window(
    person: PreparedPerson,
    span: Span,
    scores: Float64[np.ndarray, "N K"],
    judge: Judge,
    top_k: int,
) -> WindowAnswer:
    verdict = _verdict(person, span.windows, scores, judge)
    return WindowAnswer(
        start=span.start,
        end=span.end,
        actions=_top(verdict, top_k),
        recognised=verdict.recognised,
    )


def _verdict(
    person: PreparedPerson, windows: WindowChoice, scores: Float64[np.ndarray, "N K"], judge: Judge
) -> Verdict:
    rows = scores[person.rows_of(windows)]
    return judge.verdict(summed_up(rows, windows.seen_frames, judge.idle))


def _top(verdict: Verdict, top_k: int) -> tuple[ActionScore, ...]:
    order = np.argsort(-verdict.scores, kind="stable")[:top_k]
    return tuple(ActionScore(label=verdict.names[k], score=float(verdict.scores[k])) for k in order)
