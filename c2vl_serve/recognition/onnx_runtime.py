"""ONNX Runtime: the default runtime, on CPU or through its CUDA and TensorRT providers."""

import os
from typing import Any

from c2vl_serve.bundle import ModelBundle
from c2vl_serve.errors import BundleError, RuntimeUnavailable
from c2vl_serve.recognition.runtime import RawOutputs, in_batches
from c2vl_serve.skeleton.arrays import ModelInput

PROVIDERS: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
MAX_BATCH = 64  # windows a call: bounds memory for long sequences


class OnnxRuntime:
    """One ONNX Runtime session over a bundle's ``model.onnx``.

    Args:
        bundle: what to run.
        provider: ``cpu``, ``cuda`` or ``tensorrt``, or ``auto`` for the first that works of
            CUDA and CPU.
        num_threads: threads of one call. One is best on CPU: parallel requests use the cores.

    Raises:
        RuntimeUnavailable: when onnxruntime or the provider asked for by name is not there.
        BundleError: when the model cannot be loaded.
    """

    def __init__(self, bundle: ModelBundle, *, provider: str = "cpu", num_threads: int = 1) -> None:
        onnxruntime = _onnxruntime()
        wanted = _wanted(provider, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads steal the cores of parallel requests (measured 1.7x slower).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(bundle.model_path), sess_options=options, providers=wanted
            )
        except Exception as error:
            raise BundleError(
                f"ONNX Runtime cannot load {bundle.model_path}: {error}; export it again"
            ) from error
        in_use = self._session.get_providers()
        # A provider whose libraries are missing is dropped with no more than a log line.
        if provider != "auto" and in_use[0] != PROVIDERS[provider]:
            raise RuntimeUnavailable(
                f"provider {provider!r} was asked for but ONNX Runtime fell back to {in_use[0]}; "
                "check the driver and its libraries, or choose --provider cpu"
            )
        self._name = f"onnxruntime/{in_use[0]}"
        self._input = self._session.get_inputs()[0].name
        self._outputs = list(bundle.outputs)

    @property
    def name(self) -> str:
        """``onnxruntime/`` and the provider in use."""
        return self._name

    def run(self, x: ModelInput) -> RawOutputs:
        """The bundle's outputs for each window, in batches of at most :data:`MAX_BATCH`."""
        return in_batches(self._answer, x, MAX_BATCH)

    def _answer(self, x: ModelInput) -> RawOutputs:
        return tuple(self._session.run(self._outputs, {self._input: x}))


def _onnxruntime() -> Any:
    # Otherwise it keeps a device id and an event database in the home folder.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeUnavailable(
            "onnxruntime is not installed; run: pip install 'c2vl-serve[cpu]' "
            "(or 'c2vl-serve[gpu]' with an NVIDIA GPU)"
        ) from error
    return onnxruntime


def _wanted(provider: str, available: list[str]) -> list[str]:
    """The provider asked for, with CPU behind it for what it cannot run."""
    if provider == "auto":
        return [name for name in (PROVIDERS["cuda"], PROVIDERS["cpu"]) if name in available]
    if provider not in PROVIDERS:
        raise RuntimeUnavailable(
            f"unknown provider {provider!r}; known are auto, {', '.join(PROVIDERS)}"
        )
    if PROVIDERS[provider] not in available:
        raise RuntimeUnavailable(
            f"provider {provider!r} is not in this onnxruntime (it has {', '.join(available)}); "
            "run: pip uninstall onnxruntime && pip install 'c2vl-serve[gpu]'"
        )
    return list(dict.fromkeys((PROVIDERS[provider], PROVIDERS["cpu"])))
