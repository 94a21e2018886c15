"""ActionRecognizer: a SkeletonSequence in, a Recognition out."""

import time
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from c2vl_serve.bundle import ModelBundle, load_bundle
from c2vl_serve.errors import SequenceError
from c2vl_serve.recognition.answers import ActionScore, PersonAnswer, Recognition, WindowAnswer
from c2vl_serve.recognition.runtime import Runtime, verify
from c2vl_serve.recognition.runtimes import load_runtime
from c2vl_serve.recognition.timeline import Span, spans
from c2vl_serve.skeleton.convert import convert
from c2vl_serve.skeleton.layout import LAYOUTS
from c2vl_serve.skeleton.preprocessing import resample
from c2vl_serve.skeleton.sampling import (
    MIN_SEEN_FRAMES,
    Windows,
    cut_windows,
    probabilities,
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
    ) -> Recognition:
        """What each person does.

        Args:
            sequence: any layout that can be converted to the bundle's, 3-D.
            top_k: labels to answer with.
            window: seconds of a timeline entry; the model's own window unless given.
            stride: seconds between entries; half a window unless given.
            max_persons: how many persons to answer for, clearest first.

        Raises:
            SequenceError: when the sequence cannot be used by this bundle.
        """
        started = time.perf_counter()
        config = self.bundle.card.preprocessing
        if sequence.joints.shape[-1] != 3:
            raise SequenceError(
                f"joints are 2-D (x, y) but bundle {self.bundle.card.name!r} needs 3-D (x, y, z); "
                "lift them first, or send a video or 3-D joints"
            )
        converted, notes = convert(sequence, LAYOUTS[config.layout])
        ready = resample(converted, config.fps)
        if not (ready.visibility >= config.min_visibility).any():
            return _nobody(notes)
        people = [ready.persons(index) for index in _clearest(ready)[:max_persons]]
        cut = [cut_windows(person, config) for person in people]
        timelines = [spans(person, config, window, stride) for person in people]
        preprocessed = time.perf_counter()
        answers = tuple(
            self._person(person, windows, timeline, top_k)
            for person, windows, timeline in zip(people, cut, timelines, strict=True)
        )
        return Recognition(
            actions=answers[0].actions,
            recognised=answers[0].recognised,
            persons=answers,
            notes=(*notes, *_shortness(cut[0])),
            timing_ms={
                "preprocess": (preprocessed - started) * 1e3,
                "inference": (time.perf_counter() - preprocessed) * 1e3,
            },
        )

    def _person(
        self,
        person: SkeletonSequence,
        windows: Windows,
        timeline: tuple[Span, ...],
        top_k: int,
    ) -> PersonAnswer:
        scores = self._scores(windows)
        whole = summed_up(scores, windows.seen_frames, self.bundle.card.idle)
        enough = float(windows.seen_frames.max()) >= MIN_SEEN_FRAMES
        return PersonAnswer(
            id=person.person_ids[0],
            actions=self._top(whole, top_k),
            recognised=enough and self._known(whole),
            windows=tuple(self._window(span, top_k) for span in timeline),
        )

    def _window(self, span: Span, top_k: int) -> WindowAnswer:
        scores = summed_up(
            self._scores(span.windows), span.windows.seen_frames, self.bundle.card.idle
        )
        return WindowAnswer(
            start=span.start,
            end=span.end,
            actions=self._top(scores, top_k),
            recognised=self._known(scores),
        )

    def _scores(self, windows: Windows) -> Float64[np.ndarray, "N K"]:
        logits, _ = self.runtime.run(windows.inputs)
        return probabilities(logits, self.bundle.card.calibration.temperature)

    def _known(self, scores: Float64[np.ndarray, " K"]) -> bool:
        return bool(scores.max() >= self.bundle.card.calibration.threshold)

    def _top(self, scores: Float64[np.ndarray, " K"], top_k: int) -> tuple[ActionScore, ...]:
        order = np.argsort(-scores, kind="stable")[:top_k]
        labels = self.bundle.card.labels
        return tuple(ActionScore(label=labels[k], score=float(scores[k])) for k in order)


def _clearest(sequence: SkeletonSequence) -> list[int]:
    """Persons that are seen at all, most visible first; equally visible ones keep their order."""
    total = sequence.visibility.sum(axis=(0, 2))
    return [int(k) for k in np.argsort(-total, kind="stable") if total[k] > 0]


def _nobody(notes: tuple[str, ...]) -> Recognition:
    return Recognition(
        actions=(),
        recognised=False,
        persons=(),
        notes=(*notes, "no person was seen clearly enough to recognise an action"),
        timing_ms={"preprocess": 0.0, "inference": 0.0},
    )


def _shortness(windows: Windows) -> tuple[str, ...]:
    frames = int(windows.seen_frames.max())
    if frames >= MIN_SEEN_FRAMES:
        return ()
    return (f"the person is seen in {frames} frame(s) only: too short to recognise an action",)
