"""TensorRT: a bundle's ``model.plan`` on the GPU that it was built for, without torch."""

import threading

import numpy as np

from c2vl_serve.bundle import PLAN, ModelBundle
from c2vl_serve.errors import BundleError
from c2vl_serve.recognition import tensorrt_api
from c2vl_serve.recognition.runtime import Representation
from c2vl_serve.skeleton.arrays import Logits, ModelInput


class TensorRtRuntime:
    """One plan; calls from several threads take turns on the GPU.

    Args:
        bundle: what to run; it must hold a plan.

    Raises:
        BundleError: when the bundle has no plan.
        RuntimeUnavailable: when GPU, driver or library is missing, or the plan is for others.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        if not bundle.plan_path.is_file():
            raise BundleError(
                f"bundle {bundle.card.identity} has no {PLAN} in {bundle.path}; export it with "
                "--trt on a machine with the GPU that will serve it"
            )
        tensorrt_api.require()
        self._engine = tensorrt_api.Engine(bundle.plan_path.read_bytes())
        self._turn = threading.Lock()
        self._name = f"tensorrt/{bundle.card.precision}"

    @property
    def name(self) -> str:
        """``tensorrt/`` and the precision."""
        return self._name

    def run(self, x: ModelInput) -> tuple[Logits, Representation]:
        """Logits and representation of each window, in batches that the plan takes."""
        size = self._engine.max_batch
        with self._turn:
            parts = [self._answer(x[start : start + size]) for start in range(0, len(x), size)]
        logits, representation = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(representation)

    def _answer(self, x: ModelInput) -> tuple[Logits, Representation]:
        """One batch, filled up with empty windows where the plan wants more."""
        lacking = max(self._engine.min_batch - len(x), 0)
        filled = np.concatenate([x, np.zeros((lacking, *x.shape[1:]), np.float32)])
        answers = self._engine.run(filled)
        return answers["logits"][: len(x)], answers["representation"][: len(x)]
