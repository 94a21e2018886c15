"""Checkpoint: weights and everything needed to use them, in one safetensors file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from c2vl_serve.errors import BundleError
from c2vl_serve.gallery_space import GalleryScale, GallerySpace, Whitening
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.described_file import FileKind
from c2vl_training.model.classifier import ClassifierConfig
from c2vl_training.model.encoders import Encoder, encoder_config
from c2vl_training.model.ensemble import Ensemble
from c2vl_training.model.experts import ExpertConfig, ExpertsConfig
from c2vl_training.model.language import Language, WithLanguage, stored_head
from c2vl_training.model.rounding import from_steps, in_steps

CHECKPOINT = FileKind(
    noun="checkpoint",
    format="c2vl-checkpoint-2",
    next_step="write it with c2vl-train",
    error=BundleError,
)
# Tensors beside the model's own.
HEAD, EMBEDDINGS = "language.head.", "language.embeddings"
MEAN, DIRECTIONS = "gallery.mean", "gallery.directions"
# Behind the name of a weight that is whole multiples of a step for each of its rows.
STEPS, STEP = ".steps", ".step"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """Trained classifiers with their whole configuration.

    Attributes:
        model: the ensemble of classifiers, in evaluation mode.
        model_configs: what each member was built from.
        preprocessing: what its input must go through.
        labels: in logit order.
        card: what the bundle's card will say: sources, accuracy, calibration, licences, training.
        language: for bundles that can be asked for texts; None in others.
        gallery_space: in which enrolled actions are compared; None where it was not measured.
        experts: what the model's experts were built from; None where it has none.
    """

    model: Ensemble
    model_configs: tuple[ClassifierConfig, ...]
    preprocessing: PreprocessingConfig
    labels: tuple[str, ...]
    card: dict[str, Any]
    language: Language | None = None
    gallery_space: GallerySpace | None = None
    experts: ExpertsConfig | None = None

    @property
    def network(self) -> nn.Module:
        """What is exported: logits and representation, and the concept where there are texts."""
        if self.language is None:
            return self.model
        return WithLanguage(self.model, self.language.head).eval()

    def encoders_for(self, *set_names: str) -> list[tuple[ClassifierConfig, Encoder]]:
        """Those of all sets, then those of the experts of these sets, with their networks' configs.

        Args:
            set_names: whose recordings are to be recognised.
        """
        encoders = list(zip(self.model_configs, self.model.encoders, strict=True))
        if self.experts is not None and self.model.experts is not None:
            for config, of_expert in zip(
                self.experts.experts, self.model.experts.encoders, strict=True
            ):
                if config.set_name in set_names:
                    encoders += zip(config.networks, of_expert, strict=True)
        return encoders


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write beside and rename; weights in whole steps are stored as integers."""
    described: dict[str, Any] = {
        "model_configs": [asdict(config) for config in checkpoint.model_configs],
        "preprocessing": checkpoint.preprocessing.to_dict(),
        "labels": list(checkpoint.labels),
        "card": checkpoint.card,
    }
    weights = dict(checkpoint.model.state_dict())
    if checkpoint.experts is not None:
        described["experts"] = asdict(checkpoint.experts)
    if checkpoint.language is not None:
        described["language"] = _described(checkpoint.language)
        weights |= _tensors(checkpoint.language)
    if checkpoint.gallery_space is not None:
        described["gallery"] = asdict(checkpoint.gallery_space.scale)
        weights |= _space_tensors(checkpoint.gallery_space)
    CHECKPOINT.write(path, _stored(weights), described)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and rebuild its model.

    Raises:
        BundleError: when the file is missing, of another format, or does not fit its own config.
    """
    stored, described = CHECKPOINT.read(path)
    weights = _whole(stored)
    model_configs = tuple(_classifier(config) for config in described["model_configs"])
    experts = _experts(described.get("experts"))
    language = _read_language(described.get("language"), weights)
    space = _read_space(described.get("gallery"), weights)
    model = Ensemble(model_configs, experts)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise BundleError(f"checkpoint {path} does not fit its own config: {error}") from error
    return Checkpoint(
        model=model.eval(),
        model_configs=model_configs,
        preprocessing=PreprocessingConfig.from_dict(described["preprocessing"]),
        labels=tuple(described["labels"]),
        card=described["card"],
        language=language,
        gallery_space=space,
        experts=experts,
    )


def _stored(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they lie in the file."""
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        found = in_steps(weight)
        stored |= (
            {name: weight}
            if found is None
            else dict(zip((name + STEPS, name + STEP), found, strict=True))
        )
    return stored


def _whole(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they were before they were stored."""
    weights = dict(stored)
    for name in stored:
        if name.endswith(STEPS):
            own = name.removesuffix(STEPS)
            weights[own] = from_steps(weights.pop(name), weights.pop(own + STEP))
    return weights


def _classifier(values: dict[str, Any]) -> ClassifierConfig:
    return ClassifierConfig(**{**values, "encoder": encoder_config(values["encoder"])})


def _experts(values: dict[str, Any] | None) -> ExpertsConfig | None:
    if values is None:
        return None
    experts = tuple(
        ExpertConfig(
            set_name=each["set_name"],
            labels=tuple(each["labels"]),
            networks=tuple(_classifier(network) for network in each["networks"]),
        )
        for each in values["experts"]
    )
    return ExpertsConfig(**{**values, "gate": _classifier(values["gate"]), "experts": experts})


def _described(language: Language) -> dict[str, Any]:
    return {
        "texts": list(language.texts),
        "temperature": language.temperature,
        "encoder": language.encoder,
    }


def _tensors(language: Language) -> dict[str, Tensor]:
    head = {f"{HEAD}{name}": value for name, value in language.head.state_dict().items()}
    return {**head, EMBEDDINGS: torch.from_numpy(language.embeddings)}


def _read_language(described: dict[str, Any] | None, weights: dict[str, Tensor]) -> Language | None:
    """The language part, whose tensors are taken out of ``weights``; None where there is none."""
    if described is None:
        return None
    names = [name for name in weights if name.startswith(HEAD)]
    head = stored_head({name.removeprefix(HEAD): weights.pop(name) for name in names})
    if EMBEDDINGS not in weights:
        raise BundleError("the checkpoint has texts but no embeddings; train it again")
    return Language(
        head=head,
        texts=tuple(described["texts"]),
        embeddings=weights.pop(EMBEDDINGS).numpy(),
        temperature=float(described["temperature"]),
        encoder=described["encoder"],
    )


def _space_tensors(space: GallerySpace) -> dict[str, Tensor]:
    if space.whitening is None:
        return {}
    return {
        MEAN: torch.from_numpy(space.whitening.mean),
        DIRECTIONS: torch.from_numpy(space.whitening.directions),
    }


def _read_space(
    described: dict[str, float] | None, weights: dict[str, Tensor]
) -> GallerySpace | None:
    """The gallery's space, whose tensors are taken out of ``weights``; None where there is none."""
    if described is None:
        return None
    try:
        scale = GalleryScale(**described)
        if MEAN not in weights:
            return GallerySpace(scale=scale)
        whitening = Whitening(
            mean=weights.pop(MEAN).numpy(), directions=weights.pop(DIRECTIONS).numpy()
        )
        return GallerySpace(whitening=whitening, scale=scale)
    except (KeyError, TypeError) as error:
        raise BundleError(
            f"the checkpoint's gallery space lacks or does not know {error}; run `c2vl-train "
            "gallery` on it again"
        ) from error
