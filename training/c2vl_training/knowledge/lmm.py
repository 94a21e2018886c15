"""A large multimodal model says one sentence about each frame of a clip.

Any model that ``transformers`` loads as image-text-to-text will do; which one is the caller's.
Answers are greedy, so that the same model and frames give the same sentences.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from c2vl_serve.errors import C2VLError, RuntimeUnavailable
from c2vl_training.knowledge.videos import Frame

# Asks for what the published texts tell: what is held, the posture, and what is being done.
DEFAULT_PROMPT = (
    "Describe in one sentence what the person in the picture is doing: whether they stand or sit, "
    "how arms and legs are held, and what is in their hands."
)
URGED_TOKENS = 8  # that a model must go on for when its first answer was empty
SENTENCE_END = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameSpeaker:
    """A loaded model and its processor.

    Attributes:
        model: with ``generate``.
        processor: from pictures and text to the model's input and back.
        batch_size: frames asked about at once.
        max_new_tokens: longest answer.
    """

    model: Any
    processor: Any
    batch_size: int = 4
    max_new_tokens: int = 64

    def sentences(self, frames: list[Frame], prompt: str) -> tuple[str, ...]:
        """One sentence a frame.

        Raises:
            C2VLError: when the model has nothing to say about a frame even when urged.
        """
        answers: list[str] = []
        for start in range(0, len(frames), self.batch_size):
            answers += self._answers(frames[start : start + self.batch_size], prompt, at_least=1)
        for index, answer in enumerate(answers):
            if not answer:  # urged to go on past an early end
                answers[index] = self._answers([frames[index]], prompt, at_least=URGED_TOKENS)[0]
        empty = [index for index, answer in enumerate(answers) if not answer]
        if empty:
            raise C2VLError(
                f"the model says nothing about frames {empty} of {len(frames)}; "
                "choose another prompt or model"
            )
        return tuple(answers)

    @torch.inference_mode()
    def _answers(self, frames: list[Frame], prompt: str, *, at_least: int) -> list[str]:
        asked = [self._question(prompt)] * len(frames)
        inputs = self.processor(
            images=[[frame] for frame in frames], text=asked, padding=True, return_tensors="pt"
        ).to(self.model.device, self.model.dtype)
        told = self.model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=self.max_new_tokens,
            min_new_tokens=min(at_least, self.max_new_tokens),
        )
        new = told[:, inputs["input_ids"].shape[1] :]
        return [
            first_sentence(t) for t in self.processor.batch_decode(new, skip_special_tokens=True)
        ]

    def _question(self, prompt: str) -> str:
        """The prompt as the model was trained to be asked."""
        if getattr(self.processor, "chat_template", None) is None:
            return f"{self.processor.image_token}\n{prompt}"
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        messages = [{"role": "user", "content": content}]
        asked: str = self.processor.apply_chat_template(messages, add_generation_prompt=True)
        return asked


def first_sentence(answer: str) -> str:
    """The first sentence of an answer, on one line; empty where it has no word."""
    text = " ".join(answer.split())
    if not re.search(r"\w", text):
        return ""
    return SENTENCE_END.split(text, maxsplit=1)[0]


def load_speaker(
    model: str | Path, *, device: str = "cpu", batch_size: int = 4, max_new_tokens: int = 64
) -> FrameSpeaker:
    """Load a model by its name on a hub or its folder; half precision on a GPU.

    Raises:
        RuntimeUnavailable: when ``transformers`` or the model cannot be had.
    """
    try:
        import transformers
    except ImportError as error:
        raise RuntimeUnavailable(
            "frames cannot be described: the package 'transformers' is not installed; "
            "install it with: pip install 'c2vl-serve[knowledge]'"
        ) from error
    # Their annotations are partial.
    Processor: Any = transformers.AutoProcessor
    Model: Any = transformers.AutoModelForImageTextToText
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    try:
        # Batches are padded on the left: what is generated follows the question directly.
        processor = Processor.from_pretrained(model, padding_side="left")
        loaded = Model.from_pretrained(model, dtype=dtype)
    except (OSError, ValueError) as error:
        raise RuntimeUnavailable(
            f"model {str(model)!r} cannot be loaded as image-text-to-text: {error}; "
            "give a folder that holds one, or a name on a hub that can be reached"
        ) from error
    return FrameSpeaker(
        model=loaded.to(device).eval(),
        processor=processor,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
    )
