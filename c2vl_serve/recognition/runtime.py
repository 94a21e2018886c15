"""What runs a bundle's network: the protocol, and the check that a runtime tells the truth."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32

from c2vl_serve.bundle import ModelBundle
from c2vl_serve.errors import BundleError
from c2vl_serve.skeleton.arrays import Concept, Logits, ModelInput
from c2vl_serve.skeleton.preprocessing import preprocess

Representation = Float32[np.ndarray, "N D"]
# One array for each of `bundle.outputs`: the concept comes third, where the bundle has texts.
RawOutputs: TypeAlias = tuple[Float32[np.ndarray, "N _"], ...]


class Outputs(NamedTuple):
    """What a network says about windows, one row each."""

    logits: Logits
    representation: Representation
    concept: Concept | None = None

    @property
    def arrays(self) -> RawOutputs:
        """Those that the network has."""
        return tuple(array for array in self if array is not None)


@runtime_checkable
class Runtime(Protocol):
    """Runs one network; safe to call from several threads."""

    @property
    def name(self) -> str:
        """What is really in use, such as ``onnxruntime/CPUExecutionProvider``."""
        ...

    def run(self, x: ModelInput) -> RawOutputs:
        """Logits and representation of each window, and its concept where the bundle has texts."""
        ...


def in_batches(run: Callable[[ModelInput], RawOutputs], x: ModelInput, size: int) -> RawOutputs:
    """What ``run`` gives for all windows, asked for at most ``size`` at a time."""
    parts = [run(x[start : start + size]) for start in range(0, len(x), size)]
    return tuple(np.concatenate(output) for output in zip(*parts, strict=True))


def verify(runtime: Runtime, bundle: ModelBundle) -> float:
    """Reproduce the golden sample; the largest difference in its logits and its concept.

    Raises:
        BundleError: when the runtime gives something else than the bundle promises.
    """
    golden, card = bundle.golden, bundle.card
    logits, representation, *concepts = runtime.run(preprocess(golden.sequence, card.preprocessing))
    _check_space(bundle, representation.shape[-1])
    if logits.shape != golden.logits.shape or len(card.labels) != logits.shape[-1]:
        raise BundleError(
            f"bundle {card.identity} on {runtime.name} gives logits of shape {logits.shape}; "
            f"its golden sample has {golden.logits.shape} and its card {len(card.labels)} labels"
        )
    expected = [golden.logits, *([] if golden.concept is None else [golden.concept])]
    found = [logits, *concepts]
    if [each.shape for each in found] != [each.shape for each in expected]:
        raise BundleError(
            f"bundle {card.identity} on {runtime.name} gives outputs of shapes "
            f"{[each.shape for each in found]}; its golden sample has "
            f"{[each.shape for each in expected]}: export it again"
        )
    difference = max(
        float(np.abs(ours - theirs).max()) for ours, theirs in zip(found, expected, strict=True)
    )
    if not difference <= card.tolerance:
        raise BundleError(
            f"bundle {card.identity} on {runtime.name} misses its golden logits by "
            f"{difference:.2g} (allowed {card.tolerance:.2g}); do not serve it: export it again, "
            "or choose another runtime"
        )
    return difference


def _check_space(bundle: ModelBundle, width: int) -> None:
    """The gallery's space is of this network."""
    whitening = bundle.gallery_space.whitening
    if whitening is not None and len(whitening.mean) != width:
        raise BundleError(
            f"bundle {bundle.card.identity} has a gallery space for representations of "
            f"{len(whitening.mean)} numbers, its network gives {width}; run `c2vl-train gallery` "
            "on the checkpoint and export it again"
        )
