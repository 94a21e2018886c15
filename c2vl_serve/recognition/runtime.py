"""What runs a bundle's network: the protocol, and the check that a runtime tells the truth."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from c2vl_serve.bundle import ModelBundle
from c2vl_serve.errors import BundleError
from c2vl_serve.skeleton.arrays import Logits, ModelInput
from c2vl_serve.skeleton.preprocessing import preprocess

Representation = Float32[np.ndarray, "N D"]


class Outputs(NamedTuple):
    """What a network says about windows, one row each."""

    logits: Logits
    representation: Representation


@runtime_checkable
class Runtime(Protocol):
    """Runs one network; safe to call from several threads."""

    @property
    def name(self) -> str:
        """What is really in use, such as ``onnxruntime/CPUExecutionProvider``."""
        ...

    def run(self, x: ModelInput) -> tuple[Logits, Representation]:
        """Logits and representation of each window."""
        ...


def verify(runtime: Runtime, bundle: ModelBundle) -> float:
    """Reproduce the golden sample; the largest difference in its logits.

    Raises:
        BundleError: when the runtime gives other logits than the bundle promises.
    """
    golden, card = bundle.golden, bundle.card
    logits, _ = runtime.run(preprocess(golden.sequence, card.preprocessing))
    if logits.shape != golden.logits.shape or len(card.labels) != logits.shape[-1]:
        raise BundleError(
            f"bundle {card.identity} on {runtime.name} gives logits of shape {logits.shape}; "
            f"its golden sample has {golden.logits.shape} and its card {len(card.labels)} labels"
        )
    difference = float(np.abs(logits - golden.logits).max())
    if not difference <= card.tolerance:
        raise BundleError(
            f"bundle {card.identity} on {runtime.name} misses its golden logits by "
            f"{difference:.2g} (allowed {card.tolerance:.2g}); do not serve it: export it again, "
            "or choose another runtime"
        )
    return difference
