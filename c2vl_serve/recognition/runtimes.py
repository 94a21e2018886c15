"""Which runtime runs a bundle: the one that it was exported for."""

from collections.abc import Callable

from c2vl_serve.bundle import ModelBundle
from c2vl_serve.errors import BundleError
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime
from c2vl_serve.recognition.openvino_runtime import OpenVinoRuntime
from c2vl_serve.recognition.runtime import Runtime
from c2vl_serve.recognition.tensorrt_runtime import TensorRtRuntime

# From bundle, provider and threads of one call. Only ONNX Runtime has providers to choose from.
RUNTIMES: dict[str, Callable[[ModelBundle, str, int], Runtime]] = {
    "onnxruntime": lambda bundle, provider, threads: OnnxRuntime(
        bundle, provider=provider, num_threads=threads
    ),
    "openvino": lambda bundle, _, threads: OpenVinoRuntime(bundle, num_threads=threads),
    "tensorrt": lambda bundle, _, __: TensorRtRuntime(bundle),
}


def load_runtime(bundle: ModelBundle, *, provider: str = "cpu", num_threads: int = 1) -> Runtime:
    """The runtime that the bundle's card names.

    Args:
        bundle: what to run.
        provider: of ONNX Runtime; bundles made for another runtime have no choice.
        num_threads: of one call on a CPU.

    Raises:
        BundleError: when the card names a runtime that is not known.
        RuntimeUnavailable: when the runtime is not installed or lacks its hardware.
    """
    name = bundle.card.runtime
    if name not in RUNTIMES:
        raise BundleError(
            f"bundle {bundle.card.identity} is made for runtime {name!r}; known are "
            f"{', '.join(RUNTIMES)}; export it again or update c2vl-serve"
        )
    return RUNTIMES[name](bundle, provider, num_threads)
