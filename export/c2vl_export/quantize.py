"""int8: static quantisation with ranges from real clips, and float where int8 costs too much.

Weights are quantised channel by channel, activations tensor by tensor (Jacob et al., CVPR 2018,
sec. 2). Dynamic quantisation was slower than fp32, because it finds its ranges anew every call.
"""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from jaxtyping import Float32

from c2vl_export.onnx import INPUT
from c2vl_serve.bundle import OUTPUTS
from c2vl_serve.skeleton.arrays import ModelInput

# What int8 makes faster, and what may be left in float. Products over a few joints are not among
# them: ONNX Runtime does them faster in float.
LAYERS = ("Conv", "Gemm")
# So that integers need not turn into floats between layers. Where a constant takes part, as in
# what is left of a batch norm, one scale for all its channels would be too coarse.
BETWEEN = ("Add", "Mul", "Relu", "MaxPool", "Concat")
MOVING = ("Split", "Slice", "Reshape", "Transpose")  # which move numbers and change none
# Ways to find the range of a tensor, with ONNX Runtime's options; the one with the least error is
# taken. The plain extremes are not among them: one clip in which tracking jumps makes all steps
# five times as coarse.
CALIBRATIONS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "mean extremes of 8 windows": ("MinMax", 8, {"CalibMovingAverage": True}),
    "99.99 % of the values": ("Percentile", 64, {"CalibPercentile": 99.99}),
    "99.999 % of the values": ("Percentile", 64, {"CalibPercentile": 99.999}),
}
JUDGING = 128  # windows at most that judge ranges and layers
# A layer is left in float where that alone takes away more than this share of int8's error.
SENSITIVE = 0.1
MAX_FLOAT_SHARE = 0.2  # of the layers: more would cost the speed that int8 is for


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Quantised:
    """An int8 network and what was found on the way.

    Attributes:
        model: with QuantizeLinear and DequantizeLinear nodes around what runs in int8.
        calibration: which of :data:`CALIBRATIONS` had the least error.
        float_layers: names of the layers left in float, most sensitive first.
        effects: for every layer the share of int8's error that goes away where it stays float.
    """

    model: onnx.ModelProto
    calibration: str
    float_layers: tuple[str, ...]
    effects: dict[str, float]


def quantise(model: onnx.ModelProto, windows: ModelInput, *, symmetric: bool = False) -> Quantised:
    """Quantise a folded fp32 network.

    Args:
        model: as :func:`c2vl_export.onnx.write_onnx` writes it.
        windows: of training clips; half give the ranges, half judge ranges and layers.
        symmetric: signed activations around zero, as TensorRT takes them; otherwise unsigned
            ones, which processors multiply faster.
    """
    half = max(len(windows) // 2, 1)
    calibrating, judging = windows[:half], windows[-half:][:JUDGING]
    expected = _logits(model, judging)
    networks = {
        name: _quantised(model, calibrating, calibration, symmetric=symmetric)
        for name, calibration in CALIBRATIONS.items()
    }
    errors = {name: _error(network, judging, expected) for name, network in networks.items()}
    best = min(errors, key=lambda name: errors[name])
    effects = {
        name: 1 - _error(in_float(networks[best], model, (name,)), judging, expected) / errors[best]
        for name in _nodes(model, LAYERS, with_constant=True)
        if name in _leading_to(model, OUTPUTS)
    }
    ranked = sorted(effects, key=lambda name: -effects[name])
    allowed = int(MAX_FLOAT_SHARE * len(effects))
    left = tuple(name for name in ranked[:allowed] if effects[name] > SENSITIVE)
    return Quantised(
        model=in_float(networks[best], model, left),
        calibration=best,
        float_layers=left,
        effects=effects,
    )


def in_float(
    quantised: onnx.ModelProto, model: onnx.ModelProto, layers: tuple[str, ...]
) -> onnx.ModelProto:
    """A copy of a quantised network in which the named layers read floats again.

    Args:
        quantised: made from ``model``.
        model: in fp32; it has the weights.
        layers: names of nodes.
    """
    result = onnx.ModelProto()
    result.CopyFrom(quantised)
    originals = {node.name: node for node in model.graph.node}
    producers = {name: node for node in result.graph.node for name in node.output}
    weights = {entry.name: entry for entry in model.graph.initializer}
    for node in result.graph.node:
        if node.name not in layers:
            continue
        for place, name in enumerate(node.input):
            dequantise = producers.get(name)
            if dequantise is None or dequantise.op_type != "DequantizeLinear":
                continue
            activation = producers.get(dequantise.input[0])
            if activation is not None:
                node.input[place] = activation.input[0]
            else:
                weight = weights[originals[node.name].input[place]]
                node.input[place] = _stored_again(result.graph, weight)
    _drop_unread(result.graph)
    return result


def _stored_again(graph: onnx.GraphProto, weight: onnx.TensorProto) -> str:
    """Put a float weight back; its own name is taken by its dequantised copy."""
    name = f"{weight.name}_float"
    if name not in {entry.name for entry in graph.initializer}:
        graph.initializer.add().CopyFrom(weight)
        graph.initializer[-1].name = name
    return name


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that nothing reads any more."""
    outputs = {entry.name for entry in graph.output}
    while True:
        read = {name for node in graph.node for name in node.input} | outputs
        unread = [node for node in graph.node if not read & set(node.output)]
        if not unread:
            break
        for node in unread:
            graph.node.remove(node)
    kept = [entry for entry in graph.initializer if entry.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _error(
    network: onnx.ModelProto, windows: ModelInput, expected: Float32[np.ndarray, "N K"]
) -> float:
    """Mean squared difference of logits; never quite zero, so that it can be divided by."""
    return float(np.square(_logits(network, windows) - expected).mean()) + 1e-12


def _quantised(
    model: onnx.ModelProto,
    windows: ModelInput,
    calibration: tuple[str, int, dict[str, Any]],
    *,
    symmetric: bool,
) -> onnx.ModelProto:
    method, batch, how = calibration
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    source = onnx.ModelProto()
    source.CopyFrom(model)
    # Said so that ONNX Runtime does not advise to fold what is folded.
    onnx.helper.set_model_props(source, {"onnx.quant.pre_process": "onnxruntime.quant"})
    nodes = [
        *_nodes(model, LAYERS, with_constant=True),
        *_nodes(model, BETWEEN, with_constant=False),
        *(node.name for node in model.graph.node if node.op_type in MOVING),
    ]
    needed = _leading_to(model, OUTPUTS)
    layers = [node for node in model.graph.node if node.name in needed and node.op_type in LAYERS]
    before = _leading_to(model, [name for node in layers for name in node.input])
    within = before | {node.name for node in layers}
    nodes = [name for name in nodes if name in within]
    with (
        tempfile.TemporaryDirectory(prefix="c2vl-int8-") as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),  # histograms are announced with print()
    ):
        warnings.simplefilter("ignore")  # of numpy inside ONNX Runtime, on ranges that are empty
        to = Path(folder) / "int8.onnx"
        quantize_static(
            source,
            to,
            _Reader(windows, batch),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*LAYERS, *BETWEEN, *MOVING],
            nodes_to_quantize=nodes,
            per_channel=True,
            # Seven bits: without VNNI, sums of two products of eight bits overflow sixteen, and
            # processors would disagree.
            reduce_range=not symmetric,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[method],
            extra_options={
                **how,
                "ActivationSymmetric": symmetric,
                "WeightSymmetric": True,
                # Else a layer in float would lose the rectifier behind it.
                "QDQKeepRemovableActivations": True,
            },
        )
        # What leads to no layer, as sums of logits and what looks whether a body travels, is
        # neither worth integers nor true to them; nor may it read what was rounded for a layer.
        return in_float(onnx.load(to), model, tuple(needed - within))


def _nodes(model: onnx.ModelProto, kinds: tuple[str, ...], *, with_constant: bool) -> list[str]:
    """Names of the nodes of some kinds that read a constant, or that read none."""
    stored = {entry.name for entry in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in kinds and bool(stored & set(node.input)) == with_constant
    ]


def _leading_to(model: onnx.ModelProto, outputs: Iterable[str]) -> set[str]:
    """Names of the nodes that some of ``outputs`` need.

    The concept's own layers are not among those of :data:`OUTPUTS` and stay in float: they are
    two small products, and no logits would show what int8 did to them.
    """
    needed, names = set(outputs), set()
    for node in reversed(model.graph.node):  # ONNX keeps them in the order of computing
        if needed & set(node.output):
            needed |= set(node.input)
            names.add(node.name)
    return names


class _Reader:
    """Hands calibration windows to ONNX Runtime, batch by batch."""

    def __init__(self, windows: ModelInput, batch: int) -> None:
        self._batches: Iterator[ModelInput] = iter(
            [windows[start : start + batch] for start in range(0, len(windows), batch)]
        )

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _logits(model: onnx.ModelProto, windows: ModelInput) -> Float32[np.ndarray, "N K"]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run([OUTPUTS[0]], {INPUT: windows})[0]
