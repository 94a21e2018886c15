"""One cell of the table: learn as its row says, measure by the field's protocols, write a JSON."""

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from c2vl_training.config import TrainConfig
from c2vl_training.data.pool import Pool
from c2vl_training.evaluate import frozen
from c2vl_training.evaluate.clips import accuracy_per_set, clip_logits, sequences_of
from c2vl_training.evaluate.protocols import Protocol, protocol_of, set_pool
from c2vl_training.evaluate.zero_shot import zero_shot_of
from c2vl_training.model.classifier import Classifier
from c2vl_training.model.encoders import Encoder, build_encoder
from c2vl_training.pretrain import pretrain
from c2vl_training.pretrain_config import Knowledge
from c2vl_training.pretrained import PretrainedFile, read_pretrained, write_pretrained
from c2vl_training.results.rows import ENCODER, ROWS, Cell, pretrain_config, supervised_config
from c2vl_training.results.texts import class_texts_of, knowledge_file
from c2vl_training.state import write_json
from c2vl_training.supervised import train


@dataclass(slots=True)
class Bench:
    """What cells share: the sets with their windows, and where everything lies.

    Attributes:
        data: folder of the sets.
        out: folder of the results.
        protocols: of the sets that were read already.
    """

    data: Path
    out: Path
    protocols: dict[str, Protocol] = field(default_factory=dict)

    def protocol(self, set_name: str) -> Protocol:
        """A set and its windows, read once."""
        if set_name not in self.protocols:
            config = supervised_config((set_name,), 0).preprocessing
            self.protocols[set_name] = protocol_of(set_name, self.data, config)
        return self.protocols[set_name]

    def file(self, cell: Cell) -> Path:
        """Where a cell's numbers lie when they are there."""
        return self.out / cell.set_name / f"{cell.row}-seed{cell.seed}.json"


def run_cell(bench: Bench, cell: Cell, command: str) -> dict[str, Any]:
    """Make a cell's numbers and write them, with the command that makes them again.

    A killed run goes on where its last state was saved.
    """
    row, begun = ROWS[cell.row], time.process_time()
    made = _pretrained(bench, cell)
    encoder = _random_encoder(bench, cell) if made is None else made.encoder
    numbers: dict[str, float] = {}
    if row.labels:
        numbers, encoder = _with_labels(bench, cell, None if made is None else encoder)
    if row.learns_from == "others" or not row.labels:
        split = bench.protocol(cell.set_name).split(encoder)
        numbers |= frozen.all_protocols(split, cell.seed)
    if made is not None and made.heads is not None and not row.labels:
        numbers["zeroshot"] = _zero_shot(bench, cell, made)
    result = {
        **asdict(cell),
        "numbers": {name: round(value, 2) for name, value in numbers.items()},
        "test_clips": int(bench.protocol(cell.set_name).measured.sum()),
        "learned_from": list(cell.learned_from),
        "cpu_seconds": round(time.process_time() - begun),
        "command": command,
        "pretraining": None if made is None else made.run["config"],
        "supervised": supervised_config(cell.learned_from, cell.seed).to_dict()
        if row.labels
        else None,
    }
    write_json(bench.file(cell), result)
    return result


def _random_encoder(bench: Bench, cell: Cell) -> Encoder:
    torch.manual_seed(cell.seed)
    config = bench.protocol(cell.set_name).pool.config
    return build_encoder(config.num_channels, config.num_joints, ENCODER)


def _pretrained(bench: Bench, cell: Cell) -> PretrainedFile | None:
    """The pretrained encoder of a cell, made if it is not there; None where there is none."""
    row = ROWS[cell.row]
    if row.starts_from is not None:
        return _pretrained(bench, replace(cell, row=row.starts_from))
    if row.pretraining is None:
        return None
    path = bench.file(cell).with_suffix(".safetensors")
    if not path.exists():
        config = pretrain_config(row, cell.seed)
        pool = set_pool(cell.learned_from, bench.data, config.preprocessing)
        pool, state = pool.where(~pool.test), path.with_suffix(".state.pt")
        made = pretrain(config, pool, _knowledge(bench, cell, pool), state_file=state)
        noted = {"sets": list(cell.learned_from), "measures": made.measures, "cell": cell.name}
        write_pretrained(path, made, config, noted)
        state.unlink(missing_ok=True)
    return read_pretrained(path)


def _knowledge(bench: Bench, cell: Cell, pool: Pool) -> Knowledge | None:
    source = ROWS[cell.row].source
    if source is None:
        return None
    folder = bench.out / "knowledge"
    files = [knowledge_file(name, source, bench.data, folder) for name in cell.learned_from]
    return Knowledge.of_files({"language": files}, tuple(map(str, pool.ids)))


def _zero_shot(bench: Bench, cell: Cell, made: PretrainedFile) -> float:
    protocol = bench.protocol(cell.set_name)
    texts = class_texts_of(cell.set_name, bench.data, protocol.pool.label_names)
    return zero_shot_of(made, protocol, texts)


def _with_labels(
    bench: Bench, cell: Cell, start: Encoder | None
) -> tuple[dict[str, float], Encoder]:
    """Train on all labels, and on a share of them; what it is worth on the set's own test split."""
    config = supervised_config(cell.learned_from, cell.seed)
    if ROWS[cell.row].learns_from == "others":
        pool = set_pool(cell.learned_from, bench.data, config.preprocessing)
        return {}, _trained(bench, cell, config, pool.where(~pool.test), "all", start).encoder
    pool = bench.protocol(cell.set_name).pool
    training = pool.where(~pool.test)
    whole = _trained(bench, cell, config, training, "all", start)
    few = frozen.share_of_labels(training.labels, frozen.SEMI_SHARE, cell.seed)
    some = np.isin(np.arange(len(training)), few)
    part = _trained(bench, cell, config, training.where(some), "some", start)
    numbers = {"tuned": _accuracy(whole, pool), "tuned10": _accuracy(part, pool)}
    return numbers, whole.encoder


def _trained(
    bench: Bench, cell: Cell, config: TrainConfig, pool: Pool, part: str, start: Encoder | None
) -> Classifier:
    state = bench.file(cell).with_suffix(f".{part}.state.pt")
    state.parent.mkdir(parents=True, exist_ok=True)
    model, _ = train(config, config.members[0], pool, start=start, state_file=state)
    state.unlink(missing_ok=True)
    return model


def _accuracy(model: nn.Module, pool: Pool) -> float:
    test = pool.where(pool.test)
    clips = clip_logits(model, sequences_of(test), test.config)
    (accuracy,) = accuracy_per_set(clips.scores(1.0, None), test).values()
    return float(accuracy["top1"])
