"""The report of a pretrained encoder: every number with its command, and three pictures."""

from pathlib import Path

from c2vl_training.evaluate import frozen
from c2vl_training.evaluate.figures import draw_confusion, draw_map, draw_measures
from c2vl_training.evaluate.protocols import Protocol
from c2vl_training.pretrained import PretrainedFile
from c2vl_training.state import write_json


def write_report(
    file: PretrainedFile, protocol: Protocol, folder: Path, command: str
) -> dict[str, float]:
    """Measure by every protocol on the frozen encoder, and draw.

    Args:
        file: the encoder.
        protocol: on what; its validation groups or its test split.
        folder: gets ``numbers.json``, ``curves.png``, ``confusion.png`` and ``map.png``.
        command: that was typed, for the record.

    Returns:
        Top-1 in percent by protocol.
    """
    split, config = protocol.split(file.encoder), file.run["config"]
    numbers = {name: round(value, 2) for name, value in frozen.all_protocols(split, 0).items()}
    folder.mkdir(parents=True, exist_ok=True)
    names = protocol.pool.label_names
    measures = file.run["noted"].get("measures", {})
    if measures:
        draw_measures(measures, folder / "curves.png")
    scores = frozen.linear_scores(split, len(names))
    draw_confusion(scores, split.test_labels, names, folder / "confusion.png")
    draw_map(split.test, split.test_labels, names, folder / "map.png")
    record = {
        "command": command,
        "recipe": config["name"],
        "seed": config["seed"],
        "set": protocol.pool.set_names[0],
        "part": "validation" if protocol.validate else "test",
        "clips": len(split.test_labels),
        "top1": numbers,
        "run": file.run,
    }
    write_json(folder / "numbers.json", record)
    return numbers
