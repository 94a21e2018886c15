"""Enrolled actions beside labels: one scale, unknown still possible, names asked for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from c2vl_serve.bundle import ModelBundle, load_bundle
from c2vl_serve.errors import ActionConflict, GalleryError, LabelError, UnknownAction
from c2vl_serve.gallery_space import GalleryScale, GallerySpace, Whitening, unit
from c2vl_serve.recognition.gallery import MAX_ACTIONS, EnrolledAction, Gallery, checked_name
from c2vl_serve.recognition.judging import LabelJudge, TextJudge, judge_of
from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.texts import TextVocabulary

SPACE = GallerySpace(scale=GalleryScale(lowest=0.8, highest=0.8, width=0.05))


def gallery(**examples: list[list[float]]) -> Gallery:
    actions = {
        name: EnrolledAction(name=name, examples=unit(np.array(each, np.float32)))
        for name, each in examples.items()
    }
    return Gallery(actions=actions, space=SPACE)


@pytest.fixture(scope="module")
def everyday() -> ModelBundle:
    return load_bundle("everyday")


def outputs(bundle: ModelBundle, label: str, representation: list[float]) -> Outputs:
    """One window of which the classifier is quite sure."""
    logits = np.zeros((1, len(bundle.card.labels)), np.float32)
    logits[0, bundle.card.labels.index(label)] = 20
    return Outputs(logits=logits, representation=np.array([representation], np.float32))


def test_actions_are_compared_in_the_bundles_space() -> None:
    """Along its first axis, centred, what is alike in a plain cosine is told apart."""
    whitening = Whitening(
        mean=unit(np.array([0, 1], np.float32)), directions=np.array([[1], [0]], np.float32)
    )
    plain = gallery(jack=[[0.1, 1]])
    whitened = Gallery(actions=plain.actions, space=GallerySpace(whitening=whitening))
    window = np.array([[-0.1, 1]], np.float32)
    assert plain.cosines(window)[0, 0] > 0.95
    assert whitened.cosines(window)[0, 0] == pytest.approx(-1)


def test_the_boundary_scores_the_bundles_threshold() -> None:
    at_boundary = np.array([[0.8, 0.6]], np.float32)
    assert gallery(jack=[[1, 0]]).scores(at_boundary, 0.7)[0, 0] == pytest.approx(0.7)
    beyond = np.array([[0.9, np.sqrt(1 - 0.81)]], np.float32)
    odds = 0.7 / 0.3 * np.exp(0.1 / 0.05)
    assert gallery(jack=[[1, 0]]).scores(beyond, 0.7)[0, 0] == pytest.approx(odds / (1 + odds))


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=3, max_size=3), st.floats(0.05, 0.95))
def test_scores_leave_room_for_everything_else(vector: list[float], threshold: float) -> None:
    scores = gallery(a=[[1, 0, 0]], b=[[0, 1, 0], [0, 1, 1]]).scores(
        np.array([vector], np.float32), threshold
    )
    assert (scores >= 0).all()
    assert scores.sum() < 1 + 1e-12


def test_an_enrolled_action_takes_the_place_of_a_label_only_where_it_fits(
    everyday: ModelBundle,
) -> None:
    judge = LabelJudge(card=everyday.card, gallery=gallery(jack=[[1, 0]]))
    far = judge.scores(outputs(everyday, "wave", [0, 1]))
    near = judge.scores(outputs(everyday, "wave", [1, 0]))
    for scores in (far, near):
        np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert judge.names[int(far[0].argmax())] == "wave"
    assert judge.names[int(near[0].argmax())] == "jack"
    assert judge.verdict(near[0]).recognised
    assert judge.verdict(far[0]).recognised


def test_neither_known_nor_enrolled_is_not_recognised(everyday: ModelBundle) -> None:
    judge = LabelJudge(card=everyday.card, gallery=gallery(jack=[[1, 0]]))
    unsure = outputs(everyday, "wave", [0.5, 1])
    scores = judge.scores(unsure._replace(logits=0 * unsure.logits))
    assert not judge.verdict(scores[0]).recognised


def test_an_empty_gallery_changes_nothing(everyday: ModelBundle) -> None:
    given_ = outputs(everyday, "walk", [1, 0])
    np.testing.assert_array_equal(
        LabelJudge(card=everyday.card, gallery=Gallery()).scores(given_),
        LabelJudge(card=everyday.card).scores(given_),
    )


def test_only_what_is_asked_for_competes(everyday: ModelBundle) -> None:
    judge = judge_of(everyday, gallery(jack=[[1, 0]]), ("Squat", "jack", "squat"))
    assert isinstance(judge, LabelJudge)
    verdict = judge.verdict(judge.scores(outputs(everyday, "squat", [0, 1]))[0])
    assert verdict.names == ("squat", "jack")
    assert verdict.scores.sum() == pytest.approx(1)
    assert verdict.recognised
    other = judge.verdict(judge.scores(outputs(everyday, "wave", [0, 1]))[0])
    assert not other.recognised  # surely neither, although one of them must come first


def test_a_label_that_is_not_known_names_those_like_it(everyday: ModelBundle) -> None:
    without = replace(everyday, texts=None)
    for bundle, says in ((everyday, r"carries \d+ texts"), (without, "carries no texts")):
        with pytest.raises(LabelError, match=rf"'squats', which .*{says}.*nearest: 'squat'"):
            judge_of(bundle, None, ("wave", "squats"))
    with pytest.raises(LabelError, match="names 101 texts; expected at most 100"):
        judge_of(everyday, None, ("wave",) * 101)


@pytest.fixture(scope="module")
def with_texts(everyday: ModelBundle) -> ModelBundle:
    texts = TextVocabulary(
        texts=("hop", "bow deeply", "squat"),
        embeddings=np.eye(3, dtype=np.float32),
        temperature=0.1,
    )
    return replace(everyday, texts=texts)


def test_texts_are_answered_by_the_concept(with_texts: ModelBundle) -> None:
    judge = judge_of(with_texts, None, ("bow deeply", "hop"))
    assert isinstance(judge, TextJudge)
    seen = outputs(with_texts, "walk", [1, 0])._replace(
        concept=unit(np.array([[0.1, 0.9, 0.1]], np.float32))
    )
    verdict = judge.verdict(judge.scores(seen)[0])
    assert verdict.names == ("bow deeply", "hop")
    assert verdict.scores[0] > 0.99
    assert verdict.recognised
    squatting = seen._replace(concept=np.array([[0, 0, 1]], np.float32))
    assert not judge.verdict(judge.scores(squatting)[0]).recognised


def test_labels_alone_are_the_classifiers_even_where_there_are_texts(
    with_texts: ModelBundle,
) -> None:
    assert isinstance(judge_of(with_texts, None, ("squat", "walk")), LabelJudge)
    assert isinstance(judge_of(with_texts, None, ("squat", "hop")), TextJudge)
    with pytest.raises(LabelError, match=r"'walk', which .*carries 3 texts.*cannot be mixed"):
        judge_of(with_texts, None, ("walk", "hop"))


@pytest.mark.parametrize("name", ["", " jack", "a/b", "a,b", "x" * 65, "tab\there", "../x"])
def test_names_that_cannot_be_used(name: str) -> None:
    with pytest.raises(GalleryError, match="expected 1 to 64 letters"):
        checked_name(name, ())


def test_names_are_composed_and_no_labels() -> None:
    assert checked_name("u\u0308bung (2)", ()) == "übung (2)"
    with pytest.raises(ActionConflict, match=r"the bundle knows 'Wave' by itself.*'my Wave'"):
        checked_name("Wave", ("wave",))


def test_room() -> None:
    some = gallery(jack=[[1, 0]] * 9)
    some.check_room("jack", 1)
    with pytest.raises(ActionConflict, match="has 9 examples, 2 more were sent; at most 10"):
        some.check_room("jack", 2)
    with pytest.raises(ActionConflict, match="differs from 'jack' in upper and lower case"):
        some.check_room("Jack", 1)
    full = gallery(**{f"a{k}": [[1.0, 0.0]] for k in range(MAX_ACTIONS)})
    with pytest.raises(ActionConflict, match=f"holds {MAX_ACTIONS} actions"):
        full.check_room("one more", 1)
    with pytest.raises(UnknownAction, match="no action 'hop' is enrolled; enrolled are: jack"):
        some.action("hop")
