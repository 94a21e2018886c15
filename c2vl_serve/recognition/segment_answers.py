"""What may be said of a segment: it is judged as a clip of its own would be.

The labels of segments are found with short windows. Whether one is recognised is another question:
the bundle's threshold was fitted on clips, answered from the model's own windows, summed up. So a
segment is answered from the model's windows that lie within it, and where it is too short for one,
from the short windows within it; a clip that is one segment from end to end thus gets the
clip's own verdict.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64

from c2vl_serve.recognition.answers import SegmentAnswer
from c2vl_serve.recognition.judging import Judge
from c2vl_serve.recognition.preparation import PreparedPerson
from c2vl_serve.recognition.segments import Segment, segments
from c2vl_serve.skeleton.sampling import Stretch, summed_up

_SeenIn = dict[Stretch, float]  # frames with the person, of each window


def segment_answers(
    person: PreparedPerson, scores: Float64[np.ndarray, "N K"], judge: Judge, fps: float
) -> tuple[SegmentAnswer, ...]:
    """A person's segments; none without a timeline.

    Args:
        person: whose.
        scores: of the judge, for all rows of the prepared sequence.
        judge: who scores.
        fps: frames per second at which the windows were cut.
    """
    if not person.fine_timeline:
        return ()
    times = np.array([(span.start, span.end) for span in person.fine_timeline])
    means = [scores[person.rows_of(span.windows)].mean(axis=0) for span in person.fine_timeline]
    verdicts = [judge.verdict(mean) for mean in means]
    names = verdicts[0].names
    judged = _judged(person, scores, judge, fps)
    return tuple(
        judged(segment, names[segment.label])
        for segment in segments(times, np.stack([verdict.scores for verdict in verdicts]))
    )


def _judged(
    person: PreparedPerson, scores: Float64[np.ndarray, "N K"], judge: Judge, fps: float
) -> Callable[[Segment, str], SegmentAnswer]:
    """From a segment and its label's name to its answer."""
    long = _seen_in(person.whole.stretches, person.whole.seen_frames)
    short: _SeenIn = {}
    for span in person.fine_timeline:
        short |= _seen_in(span.windows.stretches, span.windows.seen_frames)
    idle_name = None if judge.idle is None else judge.names[judge.idle]

    def answer(segment: Segment, label: str) -> SegmentAnswer:
        seen_in = windows_of(segment, long, short, fps)
        rows = scores[[person.rows[stretch] for stretch in seen_in]]
        seen = np.array(list(seen_in.values()), np.float32)
        # Of somebody who stands still, standing still is the answer.
        idle = None if label == idle_name else judge.idle
        verdict = judge.verdict(summed_up(rows, seen, idle))
        best = verdict.names[int(verdict.scores.argmax())]
        return SegmentAnswer(
            start=segment.start,
            end=segment.end,
            label=label,
            score=float(verdict.scores[verdict.names.index(label)]),
            recognised=verdict.recognised and best == label,
        )

    return answer


def windows_of(segment: Segment, long: _SeenIn, short: _SeenIn, fps: float) -> _SeenIn:
    """The windows that speak for a segment."""
    begin, end = round(segment.start * fps), round(segment.end * fps)
    for seen_in in (long, short):
        within = {
            stretch: seen
            for stretch, seen in seen_in.items()
            if begin <= stretch[0] and stretch[1] <= end
        }
        if within:
            return within
    # Shorter than any window: those that show most of it.
    shared = {stretch: min(end, stretch[1]) - max(begin, stretch[0]) for stretch in short}
    most = max(shared.values())
    return {stretch: short[stretch] for stretch, frames in shared.items() if frames == most}


def _seen_in(stretches: tuple[Stretch, ...], seen_frames: np.ndarray) -> _SeenIn:
    return dict(zip(stretches, map(float, seen_frames), strict=True))
