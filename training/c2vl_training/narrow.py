"""Narrow a checkpoint to the labels of one set: the same networks, fewer answers to choose from.

What all sets taught them stays in the networks, which a set alone could not have taught. The other
labels go, and with them the experts of other sets. Nothing is trained.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from c2vl_serve.errors import BundleError
from c2vl_training.checkpoint import Checkpoint
from c2vl_training.data.labels import classes_of, label_names, label_sources
from c2vl_training.data.pool import load_pool
from c2vl_training.data.unknowns import unknown_clips
from c2vl_training.fit import Test, measure
from c2vl_training.model.classifier import Classifier, ClassifierConfig
from c2vl_training.model.ensemble import Ensemble, ensemble_of
from c2vl_training.model.experts import Experts, ExpertsConfig, experts_of
from c2vl_training.recipes import everyday


def narrowed(
    checkpoint: Checkpoint, set_name: str, data: Path, *, seed: int = 0
) -> tuple[Checkpoint, Test]:
    """The checkpoint with the labels of one of its sets, and what it does on that set's test split.

    The temperature stays; the threshold is chosen again, on actions that were never trained on.

    Args:
        checkpoint: of several sets.
        set_name: whose labels stay.
        data: folder of the sets that the checkpoint learned from.
        seed: of the made-up camera that also sees the test clips.

    Raises:
        BundleError: when the checkpoint did not learn from this set.
        SequenceError: when a set is missing.
    """
    sets = classes_of(checkpoint.card["label_sources"])
    if set_name not in sets:
        raise BundleError(
            f"the checkpoint {checkpoint.card['name']!r} did not learn from set {set_name!r}; "
            f"it can be narrowed to {', '.join(sets)}"
        )
    own = {set_name: sets[set_name]}
    labels = label_names(own, hold_still=False)
    rows = [checkpoint.labels.index(label) for label in labels]
    configs = tuple(replace(config, num_labels=len(rows)) for config in checkpoint.model_configs)
    members = [
        _with_rows(member, config, rows)
        for member, config in zip(_members(checkpoint.model), configs, strict=True)
    ]
    experts, experts_config = _own_expert(checkpoint, set_name, labels)
    model = ensemble_of(configs, members, experts)
    pool = load_pool(
        data, sets, checkpoint.preprocessing, hold_still=checkpoint.card["idle_label"] is not None
    )
    of_set = pool.of_set(set_name, labels)
    config = replace(
        everyday(), labels=own, hold_still=False, preprocessing=checkpoint.preprocessing, seed=seed
    )
    temperature = float(checkpoint.card["calibration"]["temperature"])
    test = measure(config, model, of_set.where(of_set.test), unknown_clips(data, pool), temperature)
    return (
        Checkpoint(
            model=model,
            model_configs=configs,
            preprocessing=checkpoint.preprocessing,
            labels=labels,
            card=_card(checkpoint.card, own, test.card(temperature)),
            experts=experts_config,
        ),
        test,
    )


def _members(model: Ensemble) -> list[Classifier]:
    return [member for member in model.members if isinstance(member, Classifier)]


def _with_rows(network: Classifier, config: ClassifierConfig, rows: list[int]) -> Classifier:
    """The same network with some of its logits, in this order."""
    kept = Classifier(config)
    kept.encoder.load_state_dict(network.encoder.state_dict())
    with torch.no_grad():
        kept.head.weight.copy_(network.head.weight[rows])
        kept.head.bias.copy_(network.head.bias[rows])
    return kept.eval()


def _own_expert(
    checkpoint: Checkpoint, set_name: str, labels: tuple[str, ...]
) -> tuple[Experts | None, ExpertsConfig | None]:
    """The set's own expert behind the gate that knows it; None where it has none."""
    config, experts = checkpoint.experts, checkpoint.model.experts
    if config is None or experts is None:
        return None, None
    names = [each.set_name for each in config.experts]
    if set_name not in names:
        return None, None
    place = names.index(set_name)
    own = config.experts[place]
    places = tuple(labels.index(checkpoint.labels[label]) for label in own.labels)
    kept = replace(
        config,
        gate=replace(config.gate, num_labels=2),
        experts=(replace(own, labels=places),),
        num_labels=len(labels),
        idle=None,
    )
    gate = _with_rows(experts.gate, kept.gate, [place, len(names)])
    return experts_of(kept, gate, (experts.networks[place],)), kept


def _card(
    card: dict[str, Any], own: dict[str, dict[str, str]], measured: dict[str, Any]
) -> dict[str, Any]:
    (set_name,) = own
    training = card["training"]
    return {
        **card,
        "name": f"{card['name']}-{set_name}",
        "description": f"{card['name']} with the labels of {set_name.replace('_', ' ')} alone.",
        "label_sources": label_sources(own, hold_still=False),
        "idle_label": None,
        **measured,
        "training": {
            **training,
            "experts": [name for name in training["experts"] if name == set_name],
            "narrowed_to": set_name,
        },
    }
