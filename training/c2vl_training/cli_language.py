"""``c2vl-train language``: a checkpoint learns texts that it can be asked for."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from c2vl_serve.errors import C2VLError
from c2vl_training.cli_tune import Data, Seed, supervised_recipe
from c2vl_training.command import typed_command

if TYPE_CHECKING:
    from c2vl_training.checkpoint import Checkpoint
    from c2vl_training.data.batches import Sampling
    from c2vl_training.data.pool import Pool

console = Console()


def language(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint that gets a language part.")],
    data: Data,
    texts: Annotated[Path | None, typer.Option(help="Further action phrases, one a line.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the result goes; in its place without.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="JSON file for the figures.")] = None,
    seed: Seed = 0,
) -> None:
    """Add a language head and a vocabulary of texts to a checkpoint.

    Printed is zero-shot top-1 on test clips of labels that were left out of the head's training.
    """
    from c2vl_training import language as part
    from c2vl_training.checkpoint import read_checkpoint, write_checkpoint
    from c2vl_training.knowledge.action_phrases import ACTION_PHRASES
    from c2vl_training.knowledge.towers import load_sentence_encoder
    from c2vl_training.state import write_json

    given, tower = read_checkpoint(checkpoint), load_sentence_encoder()
    further = part.read_texts(texts) if texts is not None else ACTION_PHRASES
    config = part.LanguageConfig(seed=seed)
    pool, sampling = _labelled(given, data)
    seen = part.seen_windows(given, pool.where(~pool.test), sampling, config)
    embeddings = part.text_embeddings(given.labels, tower)
    test = part.seen_clips(given, pool.where(pool.test))
    figures = part.held_out(seen, test, embeddings, config)
    head = part.train_head(seen, embeddings, config)
    held_back = part.seen_clips(given, pool.where(pool.validation))
    temperature = part.fitted_temperature(head, held_back, embeddings)
    result = part.with_language(given, head, further, tower, temperature)
    write_checkpoint(out or checkpoint, result)
    all_texts = part.zero_shot_top1(result, test)
    row = {"command": typed_command(), "seed": seed, "with_all_texts": all_texts, **asdict(figures)}
    if report is not None:
        write_json(report, row)
    assert result.language is not None
    console.print(
        f"{out or checkpoint}: {len(result.language.texts)} texts. Zero-shot on {figures.clips} "
        f"test clips, labels held out of the head in {config.num_folds} folds: "
        f"{figures.among_held_out:.1f} % among them (chance {figures.chance:.1f}), "
        f"{figures.among_all:.1f} % among all labels, where known ones have {figures.known:.1f} %. "
        f"The head in the file, over all its texts: {all_texts:.1f} %"
    )


def _labelled(checkpoint: "Checkpoint", data: Path) -> "tuple[Pool, Sampling]":
    """The labelled clips that a checkpoint was trained on, and how windows of them were drawn."""
    pool, sampling = trained_on(checkpoint, data)
    return pool.where(pool.labels >= 0), sampling


def trained_on(checkpoint: "Checkpoint", data: Path) -> "tuple[Pool, Sampling]":
    """The sets that a checkpoint was trained on, and how windows of them were drawn.

    Raises:
        C2VLError: when its recipe has other labels by now.
    """
    from c2vl_training.data.pool import load_pool

    name = checkpoint.card["training"]["recipe"]
    config = supervised_recipe(name, 0)
    hold_still = checkpoint.card["idle_label"] is not None
    pool = load_pool(data, config.labels, checkpoint.preprocessing, hold_still=hold_still)
    if pool.label_names != checkpoint.labels:
        raise C2VLError(
            f"the checkpoint has {len(checkpoint.labels)} labels, its recipe {name!r} now has "
            f"{len(pool.label_names)} others; train it again"
        )
    return pool, config.sampling
