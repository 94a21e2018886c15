"""What is constant in an ONNX graph is computed once, at export: norms and scales are folded.

Done on the ONNX graph, not on the trained modules, so that it holds for every encoder.
"""

from collections import Counter

import numpy as np
import onnx
from onnx import helper, numpy_helper


class Graph:
    """An ONNX graph with its constants and consumers at hand; edited in place."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes = model.graph.node
        self._graph = model.graph
        self._stored = {entry.name: entry for entry in model.graph.initializer}

    def constant(self, name: str) -> np.ndarray | None:
        """The value of an initializer; None for anything that is computed."""
        entry = self._stored.get(name)
        return None if entry is None else numpy_helper.to_array(entry)

    def put(self, name: str, value: np.ndarray) -> str:
        """Store a constant under a name of its own, and say which."""
        while name in self._stored:
            name += "_"
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        self._stored[name] = self._graph.initializer[-1]
        return name

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that computes a tensor, if no more than one other node reads it."""
        readers = Counter(value for node in self.nodes for value in node.input)
        readers.update(output.name for output in self._graph.output)
        if readers[name] > 1:
            return None
        return next((node for node in self.nodes if name in node.output), None)

    def drop_unused(self) -> None:
        """Remove constants that nobody reads, and shapes noted for tensors that are gone."""
        used = {value for node in self.nodes for value in node.input}
        kept = [entry for entry in self._graph.initializer if entry.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)
        del self._graph.value_info[:]


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold batch norms and constant scales and offsets into convolutions; edits ``model``.

    A batch norm over concatenated branches goes into each branch; one that follows no convolution
    becomes a depthwise convolution of 1x1, which int8 quantises channel by channel. Taking the
    first of one, as of the person in ``N C T V 1``, becomes a change of shape, which costs nothing.

    Returns:
        The same model, without any BatchNormalization, with shapes inferred anew.
    """
    shapes = _shapes(model)
    graph = Graph(model)
    for node in list(graph.nodes):
        if node.op_type == "Gather":
            _squeeze_instead(graph, node, shapes)
    for node in list(graph.nodes):
        if node.op_type == "BatchNormalization":
            _replace_norm(graph, node, shapes)
    for node in list(graph.nodes):
        if node.op_type in ("Mul", "Add"):
            _fold_into_convolution(graph, node)
    graph.drop_unused()
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors as far as they are known; 0 for a dimension that is not."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        entry.name: tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)
        for entry in (*inferred.input, *inferred.value_info)
    }


def _squeeze_instead(
    graph: Graph, gather: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]
) -> None:
    index, shape = graph.constant(gather.input[1]), shapes.get(gather.input[0], ())
    axis = next((a.i for a in gather.attribute if a.name == "axis"), 0)
    if index is None or index.ndim > 0 or not shape or shape[axis] != 1:
        return
    axes = graph.put(f"{gather.output[0]}_axes", np.array([axis], np.int64))
    squeeze = helper.make_node(
        "Squeeze", [gather.input[0], axes], list(gather.output), name=gather.output[0]
    )
    place = list(graph.nodes).index(gather)
    graph.nodes.remove(gather)
    graph.nodes.insert(place, squeeze)


def _replace_norm(graph: Graph, norm: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` as one factor and one term a channel."""
    values = [graph.constant(name) for name in norm.input[1:5]]
    if any(value is None for value in values):
        return
    weight, bias, mean, variance = (np.asarray(value, np.float64) for value in values)
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
    factor = weight / np.sqrt(variance + epsilon)
    term = bias - mean * factor
    source, out = norm.input[0], norm.output[0]
    concat = graph.producer(source)
    place = list(graph.nodes).index(norm)
    graph.nodes.remove(norm)
    if concat is None or concat.op_type != "Concat" or not _joins_channels(concat, shapes):
        _insert_affine(graph, place, (source, out), factor, term)
        return
    stops = np.cumsum([shapes[name][1] for name in concat.input])[:-1]
    parts = list(concat.input)
    place = list(graph.nodes).index(concat)
    concat.output[0], concat.name = out, out
    for index, (f, t) in enumerate(
        zip(np.split(factor, stops), np.split(term, stops), strict=True)
    ):
        name = f"{out}_part{index}"
        place += _insert_affine(graph, place, (parts[index], name), f, t)
        concat.input[index] = name


def _joins_channels(concat: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    axis = next(a.i for a in concat.attribute if a.name == "axis")
    known = all(len(shapes.get(name, ())) == 4 and shapes[name][1] for name in concat.input)
    return axis in (1, -3) and known


def _insert_affine(
    graph: Graph, place: int, ends: tuple[str, str], factor: np.ndarray, term: np.ndarray
) -> int:
    """``x * factor + term``: in the convolution that gives x, or as a depthwise one.

    Returns:
        How many nodes were put in at ``place``.
    """
    source, out = ends
    convolution = graph.producer(source)
    if convolution is not None and convolution.op_type == "Conv":
        weight = graph.constant(convolution.input[1])
        if weight is not None and _absorb(graph, convolution, out, factor, term):
            return 0
    weight_name = graph.put(f"{out}_factor", factor.astype(np.float32).reshape(-1, 1, 1, 1))
    bias_name = graph.put(f"{out}_term", term.astype(np.float32))
    depthwise = helper.make_node(
        "Conv", [source, weight_name, bias_name], [out], name=out, group=len(factor)
    )
    graph.nodes.insert(place, depthwise)
    return 1


def _fold_into_convolution(graph: Graph, node: onnx.NodeProto) -> None:
    """``conv(x) * factor`` or ``conv(x) + term`` as one convolution, where that is possible."""
    for source, other in (tuple(node.input), tuple(reversed(node.input))):
        value, convolution = graph.constant(other), graph.producer(source)
        if value is None or convolution is None or convolution.op_type != "Conv":
            continue
        weight = graph.constant(convolution.input[1])
        if weight is None or not _is_per_channel(value, len(weight)):
            continue
        values = np.broadcast_to(value.reshape(-1), len(weight))
        one, zero = np.ones(len(weight)), np.zeros(len(weight))
        factor, term = (values, zero) if node.op_type == "Mul" else (one, values)
        if _absorb(graph, convolution, node.output[0], factor, term):
            graph.nodes.remove(node)
        return


def _absorb(
    graph: Graph, convolution: onnx.NodeProto, out: str, factor: np.ndarray, term: np.ndarray
) -> bool:
    """Make a convolution give ``conv(x) * factor + term`` under the name ``out``, if it can."""
    weight = graph.constant(convolution.input[1])
    bias: np.ndarray | None = np.zeros(len(factor), np.float32)
    if len(convolution.input) > 2:
        bias = graph.constant(convolution.input[2])
    if weight is None or bias is None:
        return False
    scaled = (weight * factor.reshape(-1, 1, 1, 1)).astype(np.float32)
    moved = (bias * factor + term).astype(np.float32)
    convolution.input[:] = [
        convolution.input[0],
        graph.put(f"{out}_weight", scaled),
        graph.put(f"{out}_bias", moved),
    ]
    convolution.output[0] = out
    return True


def _is_per_channel(value: np.ndarray, num_channels: int) -> bool:
    """Whether a constant is one number, or one a channel of ``N D T V``."""
    if value.size == 1:
        return True
    padded = (1,) * (4 - value.ndim) + value.shape
    return padded == (1, num_channels, 1, 1)
