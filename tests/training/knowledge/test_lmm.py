"""The multimodal model's real path, on a tiny LLaVA with random weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import C2VLError, RuntimeUnavailable
from tests.training.knowledge.made_models import SPECIAL, WORDS, save_lmm, torch

from c2vl_training.knowledge.lmm import FrameSpeaker, first_sentence, load_speaker  # isort: skip

PROMPT = "describe the person"


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> FrameSpeaker:
    return load_speaker(save_lmm(tmp_path_factory.mktemp("lmm")), batch_size=2, max_new_tokens=6)


def frames(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(count)]


def test_one_sentence_a_frame_of_the_models_words(speaker: FrameSpeaker) -> None:
    answers = speaker.sentences(frames(5), PROMPT)
    assert len(answers) == 5
    for answer in answers:
        assert set(answer.split()) <= set(WORDS)
    assert answers == speaker.sentences(frames(5), PROMPT)


def test_batches_do_not_change_answers(speaker: FrameSpeaker) -> None:
    one_by_one = replace(speaker, batch_size=1)
    assert speaker.sentences(frames(3), PROMPT) == one_by_one.sentences(frames(3), PROMPT)


def test_answers_are_what_plain_greedy_decoding_gives(speaker: FrameSpeaker) -> None:
    """The slow way: token after token, no cache, no batch."""
    frame = frames(1)[0]
    inputs = speaker.processor(
        images=[[frame]], text=[f"USER: <image> {PROMPT}"], return_tensors="pt"
    )
    tokens, said = inputs["input_ids"], []
    for step in range(speaker.max_new_tokens):
        with torch.no_grad():
            logits = speaker.model(input_ids=tokens, pixel_values=inputs["pixel_values"]).logits[
                0, -1
            ]
        logits[[0, 1, 3, 4, *([2] if step < 1 else [])]] = -torch.inf
        best = int(logits.argmax())
        if best == 2:
            break
        said.append((*SPECIAL, *WORDS)[best])
        tokens = torch.cat([tokens, torch.tensor([[best]])], dim=1)
    assert speaker.sentences([frame], PROMPT) == (first_sentence(" ".join(said)),)


def test_a_model_without_a_chat_template_is_asked_plainly(tmp_path: Path) -> None:
    plain = load_speaker(save_lmm(tmp_path, chat=False), max_new_tokens=4)
    assert len(plain.sentences(frames(2), PROMPT)) == 2


def test_a_model_that_says_nothing_is_refused(tmp_path: Path) -> None:
    mute = load_speaker(save_lmm(tmp_path), max_new_tokens=4)
    words = range(len(SPECIAL), len(SPECIAL) + len(WORDS))
    mute.model.generation_config.suppress_tokens = list(words)
    with pytest.raises(C2VLError, match=r"says nothing about frames \[0, 1\] of 2; choose another"):
        mute.sentences(frames(2), PROMPT)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("A man stands.  He\nwaves. More", "A man stands."),
        (" no end ", "no end"),
        ("He scores 3.5 points! Yes", "He scores 3.5 points!"),
        (" .. \n", ""),
    ],
)
def test_first_sentence(answer: str, sentence: str) -> None:
    assert first_sentence(answer) == sentence


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="cannot be loaded as image-text-to-text"):
        load_speaker(tmp_path)
