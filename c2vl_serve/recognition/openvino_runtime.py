"""OpenVINO: a bundle's ``model.onnx`` on Intel and ARM processors, in bfloat16 where they have it.

Measured two to three times as fast as ONNX Runtime in fp32 where the processor has matrix tiles.
"""

import importlib
import os
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from c2vl_serve.bundle import ModelBundle
from c2vl_serve.errors import BundleError, RuntimeUnavailable
from c2vl_serve.recognition.runtime import RawOutputs, in_batches
from c2vl_serve.skeleton.arrays import ModelInput

DEVICE = "CPU"
# The arithmetic that a bundle's precision asks OpenVINO for. Quantised graphs carry their own;
# the rest of them stays fp32.
ARITHMETIC = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}
MAX_BATCH = 64  # windows a call: bounds memory for long sequences


class OpenVinoRuntime:
    """One compiled model on the CPU, with a request for each call that runs at the same time.

    Args:
        bundle: what to run, in the precision that its card names.
        num_threads: threads of one call.

    Raises:
        RuntimeUnavailable: when OpenVINO is missing or the processor lacks the precision.
        BundleError: when the model cannot be loaded.
    """

    def __init__(self, bundle: ModelBundle, *, num_threads: int = 1) -> None:
        core = _openvino().Core()
        core.set_property({"ENABLE_MMAP": False})  # the file may be replaced while it is served
        arithmetic = _arithmetic(bundle.card.precision, core)
        cores = os.cpu_count() or 1
        options = {
            "INFERENCE_PRECISION_HINT": arithmetic,
            "INFERENCE_NUM_THREADS": max(cores, num_threads),
            "NUM_STREAMS": max(cores // num_threads, 1),
            # Pinned threads would fight over the same cores with ONNX Runtime's and pose's.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._model = core.compile_model(_read(core, bundle), DEVICE, options)
        except RuntimeError as error:
            raise BundleError(
                f"OpenVINO cannot load {bundle.model_path}: {error}; export it again"
            ) from error
        self._name = f"openvino/{DEVICE}-{arithmetic}"
        self._outputs = bundle.outputs
        self._requests: SimpleQueue[Any] = SimpleQueue()

    @property
    def name(self) -> str:
        """``openvino/``, the device and its arithmetic."""
        return self._name

    def run(self, x: ModelInput) -> RawOutputs:
        """The bundle's outputs for each window, in batches of at most :data:`MAX_BATCH`."""
        request = self._free_request()
        try:
            return in_batches(lambda part: self._answer(request, part), x, MAX_BATCH)
        finally:
            self._requests.put(request)

    def _free_request(self) -> Any:
        """A request that is not in use, or a new one where all are."""
        try:
            return self._requests.get_nowait()
        except Empty:
            return self._model.create_infer_request()

    def _answer(self, request: Any, x: ModelInput) -> RawOutputs:
        request.infer([np.ascontiguousarray(x)])
        # Copied: the request's own memory is overwritten by its next call.
        return tuple(request.get_tensor(name).data.astype(np.float32) for name in self._outputs)


def _read(core: Any, bundle: ModelBundle) -> Any:
    """The network, with what is constant computed.

    Left to compile it, OpenVINO 2026.4 answers wildly wrong, from one call to the next, where
    weights lie as integers and a step for each row. In int8 bundles that is what makes layers int8.
    """
    model = core.read_model(bundle.model_path)
    if bundle.card.precision != "int8":
        passes = importlib.import_module("openvino.passes")
        manager = passes.Manager()
        manager.register_pass(passes.ConstantFolding())
        manager.run_passes(model)
    return model


def _openvino() -> Any:
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise RuntimeUnavailable(
            "openvino is not installed; run: pip install 'c2vl-serve[openvino]'"
        ) from error


def _arithmetic(precision: str, core: Any) -> str:
    """OpenVINO's name for the precision; refused where the processor would only imitate it."""
    able = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in able:
        raise RuntimeUnavailable(
            "the bundle asks for bfloat16, which this processor does not have (it has "
            f"{', '.join(able)}); export it without --bf16"
        )
    return ARITHMETIC[precision]
