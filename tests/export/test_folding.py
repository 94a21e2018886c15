"""Folding: fewer operators, the same numbers, and hands off what cannot be folded."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.folding import fold

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(4, 3, 3, 1)).astype(np.float32)
NORM = {name: RNG.uniform(0.5, 2, size=4).astype(np.float32) for name in ("g", "b", "m", "v")}


def network(*nodes: NodeProto, **constants: np.ndarray) -> ModelProto:
    """``x N 3 T 2`` to ``y N 4 ...``."""
    graph = helper.make_graph(
        list(nodes),
        "made up",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 5, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def conv(out: str, *, bias: bool = False) -> NodeProto:
    inputs = ["x", "w", "c"] if bias else ["x", "w"]
    return helper.make_node("Conv", inputs, [out], name=out, pads=[1, 0, 1, 0])


def run(model: ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(1).normal(size=(2, 3, 5, 2)).astype(np.float32)
    return np.asarray(session.run(None, {"x": x})[0])


def folded(model: ModelProto) -> list[str]:
    """Operators that are left; the numbers must not have changed."""
    before = run(model)
    after = fold(model)
    np.testing.assert_allclose(run(after), before, rtol=1e-5, atol=1e-5)
    return [node.op_type for node in after.graph.node]


def test_norm_scale_and_offset_become_one_convolution() -> None:
    model = network(
        conv("a", bias=True),
        helper.make_node("BatchNormalization", ["a", "g", "b", "m", "v"], ["n"], name="n"),
        helper.make_node("Mul", ["s", "n"], ["p"], name="p"),
        helper.make_node("Add", ["p", "t"], ["y"], name="y"),
        w=WEIGHT, c=NORM["b"], s=np.float32(0.1).reshape(()),
        t=NORM["g"].reshape(4, 1, 1), **NORM,
    )  # fmt: skip
    assert folded(model) == ["Conv"]
    assert len(model.graph.initializer) == 2


def test_a_norm_behind_no_convolution_is_a_depthwise_one() -> None:
    model = network(
        conv("a"),
        helper.make_node("Relu", ["a"], ["r"], name="r"),
        helper.make_node("BatchNormalization", ["r", "g", "b", "m", "v"], ["y"], name="y"),
        w=WEIGHT, **NORM,
    )  # fmt: skip
    assert folded(model) == ["Conv", "Relu", "Conv"]
    assert model.graph.node[2].attribute[0].i == 4  # groups


def test_a_norm_over_branches_goes_into_each() -> None:
    one = np.ones((1, 3, 1, 1), np.float32)
    model = network(
        helper.make_node("Conv", ["x", "two"], ["p"], name="p"),
        helper.make_node("Conv", ["x", "one"], ["q"], name="q"),
        helper.make_node("Relu", ["q"], ["r"], name="r"),
        helper.make_node("Conv", ["x", "one"], ["t"], name="t"),
        helper.make_node("Concat", ["p", "r", "t"], ["c"], name="c", axis=1),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["y"], name="y"),
        one=one, two=WEIGHT[:2, :, :1], **NORM,
    )  # fmt: skip
    assert folded(model) == ["Conv", "Conv", "Relu", "Conv", "Conv", "Concat"]


@pytest.mark.parametrize(
    ("factor", "left"),
    [
        (np.ones((1, 4, 1, 1), np.float32) * 3, ["Conv"]),
        (np.arange(5, dtype=np.float32).reshape(5, 1), ["Conv", "Mul"]),  # one a frame
        (np.arange(40, dtype=np.float32).reshape(4, 5, 2), ["Conv", "Mul"]),
    ],
)
def test_only_what_is_one_number_a_channel_is_folded(factor: np.ndarray, left: list[str]) -> None:
    model = network(
        conv("a"), helper.make_node("Mul", ["a", "f"], ["y"], name="y"), w=WEIGHT, f=factor
    )
    assert folded(model) == left


def test_a_convolution_that_two_read_is_left_alone() -> None:
    model = network(
        conv("a"),
        helper.make_node("Mul", ["a", "f"], ["b"], name="b"),
        helper.make_node("Add", ["a", "b"], ["y"], name="y"),
        w=WEIGHT, f=np.float32(2).reshape(()),
    )  # fmt: skip
    assert folded(model) == ["Conv", "Mul", "Add"]


def test_taking_the_first_of_one_costs_nothing() -> None:
    model = network(
        helper.make_node("Unsqueeze", ["x", "last"], ["u"], name="u"),
        helper.make_node("Gather", ["u", "zero"], ["g"], name="g", axis=-1),
        helper.make_node("Gather", ["g", "zero"], ["y"], name="y", axis=1),
        last=np.array([4]), zero=np.array(0),
    )  # fmt: skip
    assert folded(model) == ["Unsqueeze", "Squeeze", "Gather"]
