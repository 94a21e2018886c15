"""Pretraining: an encoder learns from knowledge about its clips, or from the clips alone.

    windows -> encoder -> projector ------------------+
                                                      +-> objective
    embeddings (frozen) -> text dropout -> heads -----+

No class is read. A run can be killed at any time and goes on to the same result; its averaged
encoder is what evaluation and fine-tuning start from.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from c2vl_serve.errors import C2VLError
from c2vl_training.data.pool import Pool
from c2vl_training.model.encoders import Encoder
from c2vl_training.model.projector import ConceptHeads, Projector
from c2vl_training.parallel import ALONE, Processes
from c2vl_training.pretrain_config import Knowledge, PretrainConfig
from c2vl_training.pretrain_run import PretrainRun
from c2vl_training.state import write_state

logger = logging.getLogger(__name__)

SAVE_EVERY = 50  # steps


@dataclass(frozen=True, slots=True)
class PretrainProgress:
    """One step is done.

    Attributes:
        step: which one, from 1.
        num_steps: of the run.
        loss: that was minimised.
        measures: of this step by name, the loss among them.
    """

    step: int
    num_steps: int
    loss: float
    measures: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pretrained:
    """What a run leaves: averaged weights in evaluation mode, and its measures.

    Attributes:
        encoder: what is kept.
        projector: from its representation to the shared space; None for a distilled encoder.
        heads: from embeddings to the shared space; None without knowledge.
        measures: by name, each averaged over ``MEASURE_EVERY`` steps.
    """

    encoder: Encoder
    projector: Projector | None
    heads: ConceptHeads | None
    measures: dict[str, list[float]]


def pretrain(
    config: PretrainConfig,
    pool: Pool,
    knowledge: Knowledge | None = None,
    *,
    processes: Processes = ALONE,
    state_file: Path | None = None,
    on_step: Callable[[PretrainProgress], None] | None = None,
) -> Pretrained:
    """Train an encoder on ``pool`` without its labels.

    Args:
        config: the whole run.
        pool: clips to learn from; their labels are taken away first.
        knowledge: of these clips in their order; needed by ``c2vl``.
        processes: that share each batch.
        state_file: where the unfinished run is kept; an existing one is continued.
        on_step: called after each step.

    Raises:
        C2VLError: when the objective needs knowledge and there is none, or it is of other clips.
    """
    _check(config, pool, knowledge)
    torch.manual_seed(config.seed)
    run = PretrainRun(config, pool.unlabelled(), knowledge, processes)
    if state_file is not None and state_file.exists():
        run.restore(torch.load(state_file, weights_only=True))
        logger.info("continuing at step %d of %d", run.step, config.num_steps)
    while run.step < config.num_steps:
        measures = run.advance()
        if on_step is not None:
            on_step(PretrainProgress(run.step, config.num_steps, measures["loss"], measures))
        due = run.step % SAVE_EVERY == 0 or run.step == config.num_steps
        if state_file is not None and due and processes.leads:
            write_state(run.state(), state_file)
    kept = run.average.eval()
    return Pretrained(
        encoder=kept.encoder, projector=kept.projector, heads=kept.heads, measures=run.measures
    )


def _check(config: PretrainConfig, pool: Pool, knowledge: Knowledge | None) -> None:
    if config.objective == "skeleton":
        if knowledge is not None:
            raise C2VLError(
                "objective 'skeleton' was given knowledge; expected none; use objective 'c2vl', "
                "or leave the knowledge out"
            )
        return
    if knowledge is None:
        raise C2VLError(
            "objective 'c2vl' has no knowledge; expected embeddings of every clip; make them "
            "with `c2vl-train knowledge describe` and `embed`"
        )
    for name, value in knowledge.embeddings.items():
        if len(value) != len(pool):
            raise C2VLError(
                f"{name} embeddings are of {len(value)} clips, the pool has {len(pool)}; "
                "embed the same sets again"
            )
