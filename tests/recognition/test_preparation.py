"""Three steps: each window once, windows of many sequences in one call, every answer its own."""

import numpy as np
import pytest

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.skeleton.sampling import at_model_rate, cut_windows
from tests.conftest import waving


@pytest.fixture(scope="module")
def recognizer() -> ActionRecognizer:
    return ActionRecognizer.load("everyday")


def test_a_timeline_of_the_models_own_windows_costs_no_window_more(
    recognizer: ActionRecognizer,
) -> None:
    prepared = recognizer.prepare(waving(num_frames=300))
    person = prepared.persons[0]
    assert len(person.timeline) > 1
    finer = {stretch for span in person.fine_timeline for stretch in span.windows.stretches}
    assert len(prepared.inputs) == len({*person.whole.stretches, *finer})
    for span in person.timeline:
        assert set(span.windows.stretches) <= set(person.whole.stretches)


def test_rows_hold_what_their_stretches_show(recognizer: ActionRecognizer) -> None:
    config = recognizer.bundle.card.preprocessing
    sequence = waving(num_frames=300)
    prepared = recognizer.prepare(sequence, window=2.0, stride=1.0)
    person = prepared.persons[0]
    assert sorted(person.rows.values()) == list(range(len(prepared.inputs)))
    span = person.timeline[3]
    (start, stop) = span.windows.stretches[0]
    assert (start / config.fps, stop / config.fps) == (span.start, span.end) == (3.0, 5.0)
    alone = cut_windows(at_model_rate(sequence, config).frames(start, stop), config).inputs
    np.testing.assert_array_equal(prepared.inputs[person.rows_of(span.windows)], alone)


def test_windows_of_many_sequences_run_together(recognizer: ActionRecognizer) -> None:
    sequences = [waving(num_frames=n) for n in (1, 40, 300)]
    prepared = [recognizer.prepare(sequence) for sequence in sequences]
    together = recognizer.run(np.concatenate([each.inputs for each in prepared]))
    stops = np.cumsum([len(each.inputs) for each in prepared])
    for each, sequence, stop in zip(prepared, sequences, stops, strict=True):
        rows = slice(stop - len(each.inputs), stop)
        outputs = Outputs(together.logits[rows], together.representation[rows])
        answer, alone = recognizer.answer(each, outputs), recognizer.recognise(sequence)
        assert [a.label for a in answer.actions] == [a.label for a in alone.actions]
        np.testing.assert_allclose(
            [a.score for a in answer.actions], [a.score for a in alone.actions], atol=1e-5
        )
        assert len(answer.persons[0].windows) == len(alone.persons[0].windows)


def test_every_window_has_a_representation(recognizer: ActionRecognizer) -> None:
    outputs = recognizer.run(recognizer.prepare(waving(num_frames=200)).inputs)
    assert len(outputs.representation) == len(outputs.logits) > 1
    assert (np.linalg.norm(outputs.representation, axis=1) > 0).all()
