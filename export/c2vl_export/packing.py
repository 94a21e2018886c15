"""Weights that were rounded in training lie in the file as integers, a quarter as large.

A row of such a weight is whole multiples of one step (:mod:`c2vl_training.model.rounding`), and
folding a norm into a convolution changes no more than the step. So nothing is rounded here: what is
in whole steps is stored so, and what is not stays as it is. Runtimes multiply once, as they load.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from c2vl_training.model.rounding import LARGE, MOST

# Of a row's largest weight; folding rounds to float32 once or twice, a 17 millionth each time.
SAME = 1e-6


def packed(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an fp32 network in which weights in whole steps are stored as integers."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    stored = list(graph.initializer)
    del graph.initializer[:]
    unpacking: list[onnx.NodeProto] = []
    for entry in stored:
        found = _in_steps(numpy_helper.to_array(entry))
        if found is None:
            graph.initializer.add().CopyFrom(entry)
            continue
        integers, step, whole = f"{entry.name}_steps", f"{entry.name}_step", f"{entry.name}_whole"
        graph.initializer.append(numpy_helper.from_array(found[0], integers))
        graph.initializer.append(numpy_helper.from_array(found[1], step))
        unpacking += [
            helper.make_node("Cast", [integers], [whole], name=whole, to=TensorProto.FLOAT),
            helper.make_node("Mul", [whole, step], [entry.name], name=entry.name),
        ]
    computing = list(graph.node)
    del graph.node[:]
    graph.node.extend([*unpacking, *computing])
    return result


def _in_steps(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers and the step of each row, if they give this weight."""
    if weight.dtype != np.float32 or weight.ndim < 2 or weight.size < LARGE:
        return None
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    step = largest / np.float32(MOST)
    steps = np.rint(weight / np.where(step > 0, step, np.float32(1)))
    if (np.abs(steps * step - weight) > SAME * largest).any():
        return None
    return steps.astype(np.int8), step
