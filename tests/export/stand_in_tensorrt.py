"""Stand-ins for the modules ``tensorrt`` and ``cuda.bindings.runtime``, after their documentation.

A plan is the ONNX model itself, and ONNX Runtime on the CPU runs it; memory "on the GPU" is a
buffer of this process. What the project calls, and with what, is what is tested here: no line of
TensorRT runs.
"""

import ctypes
import types
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
import onnx
import onnxruntime

SUCCESS, FAILURE = 0, 2
VERSION = "10.16.0"


@dataclass
class Record:
    """What was asked of the stand-ins."""

    builds: int = 0
    flags: list[int] = field(default_factory=list)
    profiles: list[tuple[Any, ...]] = field(default_factory=list)
    workspaces: list[int] = field(default_factory=list)
    timings: list[bytes] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    memory: dict[int, Any] = field(default_factory=dict)
    parses: bool = True
    builds_plan: bool = True
    loads: bool = True
    gpu: str = "NVIDIA H200"


def tensorrt(record: Record, *, version: str = VERSION) -> Any:
    """A module ``tensorrt``; of version 11 it has no flag for strong typing any more."""
    module = types.ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)  # torch looks for it
    flags = {"STRONGLY_TYPED": 1} if version.startswith("10") else {}
    values: dict[str, Any] = {
        "__version__": version,
        "NetworkDefinitionCreationFlag": types.SimpleNamespace(**flags),
        "MemoryPoolType": types.SimpleNamespace(WORKSPACE="workspace"),
        "TensorIOMode": types.SimpleNamespace(INPUT="in", OUTPUT="out"),
        "Logger": _Logger,
        "Builder": lambda logger: _Builder(record),
        "OnnxParser": lambda network, logger: _Parser(record, network),
        "Runtime": lambda logger: _Runtime(record),
    }
    for name, value in values.items():
        setattr(module, name, value)
    return module


def cuda(record: Record) -> Any:
    """A module ``cuda.bindings.runtime``: every call answers with a code and its values."""
    module = types.ModuleType("cuda.bindings.runtime")

    def malloc(size: int) -> tuple[int, int]:
        buffer = ctypes.create_string_buffer(size)
        record.memory[ctypes.addressof(buffer)] = buffer
        return SUCCESS, ctypes.addressof(buffer)

    def copy(to: int, source: int, size: int, kind: str, stream: int) -> tuple[int]:
        device = to if kind == "to device" else source
        assert size <= len(record.memory[device])
        ctypes.memmove(to, source, size)
        return (SUCCESS,)

    def free(pointer: int) -> tuple[int]:
        del record.memory[pointer]
        return (SUCCESS,)

    values: dict[str, Any] = {
        "cudaError_t": types.SimpleNamespace(cudaSuccess=SUCCESS),
        "cudaMemcpyKind": types.SimpleNamespace(
            cudaMemcpyHostToDevice="to device", cudaMemcpyDeviceToHost="to host"
        ),
        "cudaMalloc": malloc,
        "cudaFree": free,
        "cudaMemcpyAsync": copy,
        "cudaStreamCreate": lambda: (SUCCESS, 7),
        "cudaStreamSynchronize": lambda stream: (SUCCESS,),
        "cudaStreamDestroy": lambda stream: (SUCCESS,),
        "cudaDriverGetVersion": lambda: (SUCCESS, 13020),
        "cudaGetDeviceProperties": lambda index: (
            SUCCESS,
            types.SimpleNamespace(name=record.gpu.encode()),
        ),
    }
    for name, value in values.items():
        setattr(module, name, value)
    return module


class _Logger:
    WARNING = "warning"

    def __init__(self, level: str) -> None:
        assert level == self.WARNING


@dataclass
class _Network:
    model: bytes = b""

    def get_input(self, index: int) -> Any:
        return onnx.load_from_string(self.model).graph.input[index]


class _Parser:
    num_errors = 1

    def __init__(self, record: Record, network: _Network) -> None:
        self._record, self._network = record, network

    def parse(self, model: bytes) -> bool:
        self._network.model = model
        return self._record.parses

    def get_error(self, index: int) -> str:
        return f"error {index}: node of an unknown kind"


class _Config:
    def __init__(self, record: Record) -> None:
        self._record = record
        self._cache = b""

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        assert pool == "workspace"
        self._record.workspaces.append(size)

    def create_timing_cache(self, content: bytes) -> Any:
        self._record.timings.append(content)
        return types.SimpleNamespace(serialize=lambda: content + b"timed;")

    def set_timing_cache(self, cache: Any, *, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache

    def add_optimization_profile(self, profile: "_Profile") -> int:
        self._record.profiles.append(profile.shapes)
        return 0


class _Profile:
    shapes: tuple[Any, ...] = ()

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        assert len(shapes) == 3
        self.shapes = (name, *shapes)


class _Builder:
    def __init__(self, record: Record) -> None:
        self._record = record

    def create_network(self, flags: int) -> _Network:
        self._record.flags.append(flags)
        return _Network()

    def create_builder_config(self) -> _Config:
        return _Config(self._record)

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> bytes | None:
        self._record.builds += 1
        if not self._record.builds_plan:
            return None
        _, smallest, usual, largest = self._record.profiles[-1]
        batches = np.array([smallest[0], usual[0], largest[0]], np.int32)
        return batches.tobytes() + network.model


class _Runtime:
    def __init__(self, record: Record) -> None:
        self._record = record

    def deserialize_cuda_engine(self, plan: bytes) -> "_Engine | None":
        return _Engine(self._record, plan) if self._record.loads else None


class _Engine:
    def __init__(self, record: Record, plan: bytes) -> None:
        self.record, self.batches = record, np.frombuffer(plan[:12], np.int32)
        self.session = onnxruntime.InferenceSession(plan[12:], providers=["CPUExecutionProvider"])
        self.inputs = [entry.name for entry in self.session.get_inputs()]
        self.outputs = [entry.name for entry in self.session.get_outputs()]
        self.num_io_tensors = len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name in self.inputs else "out"

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        assert index == 0
        window = self.session.get_inputs()[0].shape[1:]
        return [(int(batch), *window) for batch in self.batches]

    def create_execution_context(self) -> "_Context":
        return _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._shape: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self._engine.batches[0] <= shape[0] <= self._engine.batches[2]
        self._shape = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._engine.inputs:
            return self._shape
        shapes = {entry.name: entry.shape for entry in self._engine.session.get_outputs()}
        return (self._shape[0], *shapes[name][1:])

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert address in self._engine.record.memory
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 7
        engine = self._engine
        engine.record.batches.append(self._shape[0])
        x = self._view(engine.inputs[0]).copy()
        answers = engine.session.run(engine.outputs, {engine.inputs[0]: x})
        for name, answer in zip(engine.outputs, answers, strict=True):
            self._view(name)[:] = answer
        return True

    def _view(self, name: str) -> np.ndarray:
        shape = self.get_tensor_shape(name)
        count = int(np.prod(shape))
        floats = (ctypes.c_float * count).from_address(self._addresses[name])
        return np.ctypeslib.as_array(floats).reshape(shape)
