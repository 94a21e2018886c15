"""Checkpoint: weights and everything needed to use them, in one safetensors file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from c2vl_serve.errors import BundleError
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_training.model.classifier import ClassifierConfig
from c2vl_training.model.encoders import encoder_config
from c2vl_training.model.ensemble import Ensemble

FORMAT = "c2vl-checkpoint-2"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """Trained classifiers with their whole configuration.

    Attributes:
        model: the ensemble of classifiers, in evaluation mode.
        model_configs: what each member was built from.
        preprocessing: what its input must go through.
        labels: in logit order.
        card: what the bundle's card will say: sources, accuracy, calibration, licences, training.
    """

    model: Ensemble
    model_configs: tuple[ClassifierConfig, ...]
    preprocessing: PreprocessingConfig
    labels: tuple[str, ...]
    card: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write beside and rename."""
    described = {
        "model_configs": [asdict(config) for config in checkpoint.model_configs],
        "preprocessing": checkpoint.preprocessing.to_dict(),
        "labels": list(checkpoint.labels),
        "card": checkpoint.card,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    save_file(
        {name: value.contiguous() for name, value in checkpoint.model.state_dict().items()},
        beside,
        metadata={"format": FORMAT, "c2vl": json.dumps(described, sort_keys=True)},
    )
    beside.replace(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and rebuild its model.

    Raises:
        BundleError: when the file is missing, of another format, or does not fit its own config.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BundleError(f"checkpoint {path} cannot be read: {error}") from error
    if metadata.get("format") != FORMAT:
        raise BundleError(
            f"checkpoint {path} has format {metadata.get('format')!r}; expected {FORMAT!r}; "
            "write it with c2vl-train"
        )
    described = json.loads(metadata["c2vl"])
    model_configs = tuple(
        ClassifierConfig(**{**config, "encoder": encoder_config(config["encoder"])})
        for config in described["model_configs"]
    )
    model = Ensemble(model_configs)
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
    )
