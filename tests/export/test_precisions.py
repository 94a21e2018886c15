"""float16 and int8 of one small network: what changes, what must not, what stays in float."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.half import to_half
from c2vl_export.onnx import write_onnx
from c2vl_export.operators import check_operators, check_tensorrt
from c2vl_export.package import made_up_windows
from c2vl_export.quantize import LAYERS, Quantised, in_float, quantise
from c2vl_serve.errors import BundleError
from tests.export.made_checkpoint import tiny_checkpoint

WINDOWS = made_up_windows(tiny_checkpoint().preprocessing)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(tiny_checkpoint(), WINDOWS, path)
    return onnx.load(path)


@pytest.fixture(scope="module")
def int8(network: onnx.ModelProto) -> Quantised:
    return quantise(network, WINDOWS)


def logits(model: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(["logits"], {"skeletons": WINDOWS})[0])


def test_half_is_half_all_through_but_takes_and_gives_float32(network: onnx.ModelProto) -> None:
    half = to_half(network)
    kinds = {entry.data_type for entry in half.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert onnx.TensorProto.FLOAT not in kinds
    ends = [*half.graph.input, *half.graph.output]
    assert {e.type.tensor_type.elem_type for e in ends} == {onnx.TensorProto.FLOAT}
    inner = {e.type.tensor_type.elem_type for e in half.graph.value_info if "half" not in e.name}
    assert onnx.TensorProto.FLOAT not in inner
    assert len(half.SerializeToString()) < 0.75 * len(network.SerializeToString())


def test_half_gives_the_same_logits_to_three_digits(network: onnx.ModelProto) -> None:
    expected = logits(network)
    found = logits(to_half(network))
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())
    assert (found != expected).any()


def test_half_keeps_what_does_not_fit_at_its_limit() -> None:
    node = onnx.helper.make_node("Mul", ["skeletons", "f"], ["logits"], name="logits")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node], "large",
        [value("skeletons", 1, ["N", 1])], [value("logits", 1, ["N", 1])],
        [onnx.numpy_helper.from_array(np.array([1e6], np.float32), "f")],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    (stored,) = to_half(model).graph.initializer
    assert onnx.numpy_helper.to_array(stored).tolist() == [65504.0]


def test_int8_stays_near_and_is_int8(network: onnx.ModelProto, int8: Quantised) -> None:
    expected, found = logits(network), logits(int8.model)
    assert np.abs(found - expected).max() < 0.15 * np.abs(expected).max()
    assert (found != expected).any()
    check_operators(int8.model)
    weights = [
        onnx.numpy_helper.to_array(entry)
        for entry in int8.model.graph.initializer
        if entry.data_type == onnx.TensorProto.INT8 and len(entry.dims) == 4
    ]
    assert weights
    # Seven bits, so that no processor overflows.
    assert all(np.abs(weight.astype(int)).max() <= 64 for weight in weights)


def test_weights_have_a_scale_for_each_channel(int8: Quantised) -> None:
    stored = {entry.name: entry for entry in int8.model.graph.initializer}
    convolutions = [
        (stored[node.input[0]], stored[node.input[1]])
        for node in int8.model.graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in stored
        and len(stored[node.input[0]].dims) == 4
    ]
    assert convolutions
    for weight, scale in convolutions:
        assert list(scale.dims) == [weight.dims[0]]


def test_every_layer_is_measured(network: onnx.ModelProto, int8: Quantised) -> None:
    stored = {entry.name for entry in network.graph.initializer}
    layers = {
        node.name for node in network.graph.node
        if node.op_type in LAYERS and stored & set(node.input)
    }  # fmt: skip
    assert set(int8.effects) == layers
    assert set(int8.float_layers) <= layers


def test_a_layer_in_float_reads_floats_again(network: onnx.ModelProto, int8: Quantised) -> None:
    name = next(name for name in int8.effects if name not in int8.float_layers)
    before = next(node for node in int8.model.graph.node if node.name == name)
    changed = in_float(int8.model, network, (name,))
    node = next(node for node in changed.graph.node if node.name == name)
    quantised = {
        out for other in changed.graph.node if other.op_type == "DequantizeLinear"
        for out in other.output
    }  # fmt: skip
    assert not quantised & set(node.input)
    assert set(before.input) != set(node.input)
    read = {value for other in changed.graph.node for value in other.input}
    assert {entry.name for entry in changed.graph.initializer} <= read
    onnx.checker.check_model(changed)
    assert logits(changed).shape == logits(network).shape


def test_all_layers_in_float_leave_little_error(network: onnx.ModelProto, int8: Quantised) -> None:
    expected = logits(network)
    left = np.square(logits(in_float(int8.model, network, tuple(int8.effects))) - expected).mean()
    assert 0 < left < 0.05 * np.square(expected - expected.mean(axis=0)).mean()


def test_tensorrt_takes_symmetric_quantisation_only(
    network: onnx.ModelProto, int8: Quantised, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="zero point that is not zero"):
        check_tensorrt(int8.model)
    symmetric = quantise(network, WINDOWS, symmetric=True)
    check_tensorrt(symmetric.model)
    assert (
        np.abs(logits(symmetric.model) - logits(network)).max()
        < 0.3 * np.abs(logits(network)).max()
    )


@pytest.mark.parametrize("kind", ["Einsum", "NonZero", "BatchNormalization"])
def test_operators_that_some_runtime_lacks_are_named(kind: str) -> None:
    model = onnx.ModelProto()
    model.graph.node.add(op_type=kind)
    with pytest.raises(BundleError, match=f"uses {kind}, which not every runtime can run"):
        check_operators(model)


def test_operators_that_tensorrt_lacks_are_named() -> None:
    model = onnx.ModelProto()
    model.graph.node.add(op_type="QLinearConv")
    model.graph.node.add(op_type="Gelu", domain="com.microsoft")
    with pytest.raises(BundleError, match=r"uses Gelu, QLinearConv, which TensorRT's published"):
        check_tensorrt(model)


def test_integers_never_round_what_looks_whether_a_body_travels(
    network: onnx.ModelProto, int8: Quantised
) -> None:
    """A tenth of an int8 step of the input is a walk through the room."""
    nodes = {node.output[0]: node for node in int8.model.graph.node}
    compared = next(node for node in int8.model.graph.node if node.op_type == "Greater")
    name = compared.input[0]
    while name in nodes:
        assert nodes[name].op_type not in ("QuantizeLinear", "DequantizeLinear")
        name = nodes[name].input[0]
    assert name == "skeletons"
