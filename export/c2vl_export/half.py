"""float16 by casting: every float of the graph but its input and outputs.

The graph itself says which precision it has. TensorRT 11 builds nothing else, and TensorRT 10
builds it as a strongly typed network.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an fp32 network that computes in float16; input and outputs stay float32."""
    half = onnx.ModelProto()
    half.CopyFrom(model)
    for entry in half.graph.initializer:
        if entry.data_type == FLOAT:
            value = np.clip(numpy_helper.to_array(entry), *_limits()).astype(np.float16)
            entry.CopyFrom(numpy_helper.from_array(value, entry.name))
    for node in half.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = HALF
    _cast_inputs(half.graph)
    _cast_outputs(half.graph)
    del half.graph.value_info[:]
    half = onnx.shape_inference.infer_shapes(half, strict_mode=True, data_prop=True)
    onnx.checker.check_model(half, full_check=True)
    return half


def _cast_inputs(graph: onnx.GraphProto) -> None:
    for entry in graph.input:
        if entry.type.tensor_type.elem_type == FLOAT:
            _renamed(graph, entry.name, f"{entry.name}_half", is_output=False)
            cast = helper.make_node(
                "Cast", [entry.name], [f"{entry.name}_half"], name=f"{entry.name}_half", to=HALF
            )
            graph.node.insert(0, cast)


def _cast_outputs(graph: onnx.GraphProto) -> None:
    for entry in graph.output:
        if entry.type.tensor_type.elem_type == FLOAT:
            _renamed(graph, entry.name, f"{entry.name}_half", is_output=True)
            cast = helper.make_node(
                "Cast", [f"{entry.name}_half"], [entry.name], name=f"{entry.name}_cast", to=FLOAT
            )
            graph.node.append(cast)


def _renamed(graph: onnx.GraphProto, old: str, new: str, *, is_output: bool) -> None:
    """Give a tensor another name wherever it is read, and where it is computed if ``is_output``."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        if is_output:
            node.output[:] = [new if name == old else name for name in node.output]


def _limits() -> tuple[float, float]:
    limits = np.finfo(np.float16)
    return float(limits.min), float(limits.max)
