"""Measure how far two runtimes agree: on every window, at several batches, and label by label."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from c2vl_export.clips import RealClips
from c2vl_serve.recognition.bench import call_times
from c2vl_serve.recognition.parity import Comparison
from c2vl_serve.recognition.runtime import RawOutputs, Runtime
from c2vl_serve.skeleton.arrays import Logits, ModelInput

BATCHES = (1, 5, 16)  # one exporter in the field matches at 1 and crashes at 16
TIMING_SECONDS = 0.5
CHUNK = 64  # windows of one call over all clips


class TorchRuntime:
    """The trained model itself, as a runtime to compare others with; one thread."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """``torch`` with its version."""
        return f"torch {torch.__version__}"

    @torch.no_grad()
    def run(self, x: ModelInput) -> RawOutputs:
        """Logits and representation of each window, and its concept where the model has texts."""
        return tuple(output.numpy() for output in self._model(torch.from_numpy(x)))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Answers:
    """One runtime's logits for all windows, kept so that each runtime runs over them once.

    Attributes:
        name: of the runtime and its precision, as the report will say.
        runtime: what computed them.
        logits: of all windows.
    """

    name: str
    runtime: Runtime
    logits: Logits


def answers(name: str, runtime: Runtime, inputs: ModelInput) -> Answers:
    """Run a runtime over all windows."""
    parts = [runtime.run(inputs[k : k + CHUNK])[0] for k in range(0, len(inputs), CHUNK)]
    return Answers(name=name, runtime=runtime, logits=np.concatenate(parts))


def compare(
    reference: Answers, candidate: Answers, inputs: ModelInput, clips: RealClips | None
) -> Comparison:
    """Compare two runtimes' answers for the same windows.

    Args:
        reference: taken for true.
        candidate: compared with it.
        inputs: the windows that both answered.
        clips: where the windows come from; None for made-up ones, which have no label.
    """
    difference = np.abs(reference.logits - candidate.logits)
    times = call_times(
        [(each.runtime, inputs[:1]) for each in (reference, candidate)], TIMING_SECONDS
    )
    medians = [1e3 * float(np.median(own)) for own in times]
    return Comparison(
        reference=reference.name,
        candidate=candidate.name,
        windows=len(inputs),
        batch_errors={
            str(batch): _batch_error(reference, candidate.runtime.run, inputs, batch)
            for batch in BATCHES
        },
        max_error=float(difference.max()),
        mean_error=float(difference.mean()),
        reference_ms=round(medians[0], 4),
        candidate_ms=round(medians[1], 4),
        sets={} if clips is None else clips.per_set(reference.logits, candidate.logits),
    )


def machine() -> str:
    """Processor and system in words."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
        model = names[0] if names else model
    except OSError:
        pass  # not Linux
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def _batch_error(
    reference: Answers,
    run: Callable[[ModelInput], RawOutputs],
    inputs: ModelInput,
    batch: int,
) -> float:
    """Largest difference over a few batches of exactly so many windows, spread over all."""
    starts = np.unique(np.linspace(0, max(len(inputs) - batch, 0), 8).astype(int))
    errors = [
        np.abs(run(inputs[k : k + batch])[0] - reference.logits[k : k + batch]).max()
        for k in starts
    ]
    return float(np.max(errors))
