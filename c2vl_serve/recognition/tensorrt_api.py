"""Every call to TensorRT and CUDA, and nothing else: the one module that needs a GPU.

Written for TensorRT 10.16 to 11 (documented Python API) and ``cuda-python`` 13. Networks are
strongly typed: the ONNX graph alone decides the precision, as TensorRT 11 demands.
"""

import ctypes
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_serve.errors import RuntimeUnavailable

logger = logging.getLogger(__name__)

NVIDIA_VENDOR = "0x10de"  # of PCI
PCI_DEVICES = Path("/sys/bus/pci/devices")
DEVICE_TREE = Path("/proc/device-tree/compatible")  # names a Tegra on Jetson, which has no PCI GPU
DRIVER_LIBRARY = "libcuda.so.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a plan is built for; another GPU, driver or TensorRT needs another plan."""

    gpu: str
    driver: str
    tensorrt: str

    def __str__(self) -> str:
        return f"{self.gpu}, driver {self.driver}, TensorRT {self.tensorrt}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Shapes of input that a plan takes: ``smallest`` to ``largest``, fastest at ``usual``."""

    smallest: tuple[int, ...]
    usual: tuple[int, ...]
    largest: tuple[int, ...]


def require() -> None:
    """Refuse where GPU, driver or library is missing, and say which.

    Raises:
        RuntimeUnavailable: with everything that is missing and what to do about it.
    """
    missing = []
    if not _has_gpu():
        missing.append("no NVIDIA GPU is in this machine (go on where one is)")
    if not _has_driver():
        missing.append(f"no NVIDIA driver ({DRIVER_LIBRARY}) is installed (install NVIDIA's)")
    lacking = [name for name in ("tensorrt", "cuda.bindings.runtime") if _module(name) is None]
    if lacking:
        missing.append(
            f"the library is not installed ({', '.join(lacking)}; run: "
            "pip install 'c2vl-serve[tensorrt]')"
        )
    if missing:
        raise RuntimeUnavailable(f"TensorRT cannot be used here: {'; '.join(missing)}")


def target() -> Target:
    """The GPU, driver and TensorRT of this machine."""
    cuda = _needed("cuda.bindings.runtime")
    properties = _checked(cuda, cuda.cudaGetDeviceProperties(0))
    version = _checked(cuda, cuda.cudaDriverGetVersion())
    name = properties.name
    return Target(
        gpu=name.decode().rstrip("\0") if isinstance(name, bytes) else str(name),
        driver=f"CUDA {version // 1000}.{version % 1000 // 10}",
        tensorrt=str(_needed("tensorrt").__version__),
    )


def build(model: bytes, profile: Profile, *, workspace: int, timing: bytes) -> tuple[bytes, bytes]:
    """Build a plan from an ONNX model with one dynamic input.

    Args:
        model: serialised ONNX.
        profile: shapes of its input.
        workspace: bytes that tactics may use.
        timing: timing cache of an earlier build, or nothing.

    Returns:
        The plan, and the timing cache for the next build.

    Raises:
        RuntimeUnavailable: when TensorRT cannot parse the model or build it.
    """
    trt = _needed("tensorrt")
    log = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(log)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        faults = "; ".join(str(parser.get_error(k)) for k in range(parser.num_errors))
        raise RuntimeUnavailable(f"TensorRT {trt.__version__} cannot parse the network: {faults}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    cache = config.create_timing_cache(timing)
    config.set_timing_cache(cache, ignore_mismatch=False)
    shapes = builder.create_optimization_profile()
    shapes.set_shape(network.get_input(0).name, profile.smallest, profile.usual, profile.largest)
    config.add_optimization_profile(shapes)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeUnavailable(
            f"TensorRT {trt.__version__} could not build a plan with {workspace / 2**20:.0f} MiB; "
            "give more with --workspace, or see the lines that TensorRT wrote above"
        )
    return bytes(plan), bytes(config.get_timing_cache().serialize())


class Engine:
    """A plan on the GPU, with memory for its largest batch; one call at a time.

    Args:
        plan: as :func:`build` returned it.

    Raises:
        RuntimeUnavailable: when this TensorRT or GPU cannot load the plan.
    """

    def __init__(self, plan: bytes) -> None:
        trt, self._cuda = _needed("tensorrt"), _needed("cuda.bindings.runtime")
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise RuntimeUnavailable(
                f"TensorRT {trt.__version__} on this GPU ({target().gpu}) cannot load the plan; "
                "plans fit one GPU and one version only: export the checkpoint again here"
            )
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(k) for k in range(self._engine.num_io_tensors)]
        is_input = {n: self._engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT for n in names}
        (self._input,) = (name for name in names if is_input[name])
        self._outputs = tuple(name for name in names if not is_input[name])
        smallest, _, largest = self._engine.get_tensor_profile_shape(self._input, 0)
        self.min_batch, self.max_batch = int(smallest[0]), int(largest[0])
        self._stream = _checked(self._cuda, self._cuda.cudaStreamCreate())
        self._memory = {name: self._allocated(name, tuple(largest)) for name in names}

    def run(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for one batch of at most :attr:`max_batch` windows, float32, by name."""
        cuda, kinds = self._cuda, self._cuda.cudaMemcpyKind
        x = np.ascontiguousarray(x, np.float32)
        self._context.set_input_shape(self._input, x.shape)
        self._copy(self._memory[self._input], x.ctypes.data, x.nbytes, kinds.cudaMemcpyHostToDevice)
        if not self._context.execute_async_v3(int(self._stream)):
            raise RuntimeUnavailable(
                "TensorRT failed to run the plan; see the lines it wrote above"
            )
        answers = {}
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            answers[name] = out = np.empty(shape, np.float32)
            self._copy(
                out.ctypes.data, self._memory[name], out.nbytes, kinds.cudaMemcpyDeviceToHost
            )
        _checked(cuda, cuda.cudaStreamSynchronize(self._stream))
        return answers

    def close(self) -> None:
        """Give the GPU's memory back."""
        for pointer in self._memory.values():
            _checked(self._cuda, self._cuda.cudaFree(pointer))
        self._memory.clear()
        _checked(self._cuda, self._cuda.cudaStreamDestroy(self._stream))

    def _allocated(self, name: str, largest: tuple[int, ...]) -> int:
        """Memory on the GPU for the largest batch of one tensor, bound to it."""
        self._context.set_input_shape(self._input, largest)
        count = int(np.prod(tuple(self._context.get_tensor_shape(name))))
        pointer = int(_checked(self._cuda, self._cuda.cudaMalloc(4 * count)))
        self._context.set_tensor_address(name, pointer)
        return pointer

    def _copy(self, to: int, source: int, num_bytes: int, kind: Any) -> None:
        cuda = self._cuda
        _checked(cuda, cuda.cudaMemcpyAsync(to, source, num_bytes, kind, self._stream))


def _strongly_typed(trt: Any) -> int:
    """TensorRT 10 must be asked; 11 knows nothing else, and may have dropped the flag."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _checked(cuda: Any, answer: tuple[Any, ...]) -> Any:
    """The value of a CUDA call, which answers with an error code first."""
    code, *values = answer
    if code != cuda.cudaError_t.cudaSuccess:
        raise RuntimeUnavailable(
            f"CUDA failed with {code}; check the GPU with nvidia-smi and start again"
        )
    return values[0] if values else None


def _has_gpu() -> bool:
    vendors = [path.read_text().strip() for path in PCI_DEVICES.glob("*/vendor")]
    if NVIDIA_VENDOR in vendors:
        return True
    return DEVICE_TREE.is_file() and b"nvidia,tegra" in DEVICE_TREE.read_bytes()


def _has_driver() -> bool:
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return False
    return True


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        logger.info("cannot import %s: %s", name, error)
        return None


def _needed(name: str) -> Any:
    module = _module(name)
    if module is None:
        require()
        raise RuntimeUnavailable(
            f"{name} cannot be imported; run: pip install 'c2vl-serve[tensorrt]'"
        )
    return module
