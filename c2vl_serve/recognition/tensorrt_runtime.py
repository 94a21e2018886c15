"""TensorRT: a bundle's ``model.plan`` on the GPU that it was built for, without torch."""

import threading

import numpy as np

from c2vl_serve.bundle import PLAN, ModelBundle
from c2vl_serve.errors import BundleError
from c2vl_serve.recognition import tensorrt_api
from c2vl_serve.recognition.runtime import RawOutputs, in_batches
from c2vl_serve.skeleton.arrays import ModelInput


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
        self._outputs = bundle.outputs
        self._turn = threading.Lock()
        self._name = f"tensorrt/{bundle.card.precision}"

    @property
    def name(self) -> str:
        """``tensorrt/`` and the precision."""
        return self._name

    def run(self, x: ModelInput) -> RawOutputs:
        """The bundle's outputs for each window, in batches that the plan takes."""
        with self._turn:
            return in_batches(self._answer, x, self._engine.max_batch)

    def _answer(self, x: ModelInput) -> RawOutputs:
        """One batch, filled up with empty windows where the plan wants more."""
        lacking = max(self._engine.min_batch - len(x), 0)
        filled = np.concatenate([x, np.zeros((lacking, *x.shape[1:]), np.float32)])
        answers = self._engine.run(filled)
        return tuple(answers[name][: len(x)] for name in self._outputs)
