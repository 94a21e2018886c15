"""Which operators a network may use: those that every runtime we export for can run."""

from collections.abc import Iterable

import onnx

from c2vl_serve.errors import BundleError

# They exist in ONNX but are slow, unsupported or not static somewhere that people deploy.
FORBIDDEN = frozenset(
    {
        "BatchNormalization", "Einsum", "If", "Loop", "NonZero", "Scan",
        # What adaptive pooling becomes where its window does not divide the input.
        "AdaptiveAveragePool", "AdaptiveMaxPool",
        # Left behind by tracing; a simplified graph has none.
        "Constant", "Dropout", "Identity",
    }
)  # fmt: skip

# Those marked as supported in docs/operators.md of onnx-tensorrt, TensorRT's own parser, in its
# revisions for TensorRT 8.4 and 8.5: later ones could not be had here.
_TENSORRT_LIST = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast
    Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace
    DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
    GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual HardSigmoid Identity If InstanceNormalization IsNaN LRN LSTM LeakyRelu Less
    LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean Min Mul Neg Not
    Or PRelu Pad Pow QuantizeLinear RNN RandomUniform RandomUniformLike Range ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare Relu Reshape Resize ReverseSequence Round Scan ScatterElements ScatterND Selu
    Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
    Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Unsqueeze Where Xor
"""
TENSORRT = frozenset(_TENSORRT_LIST.split())


def check_operators(model: onnx.ModelProto) -> None:
    """Refuse a graph that some runtime would refuse later.

    Raises:
        BundleError: naming the operators.
    """
    found = _used(model) & FORBIDDEN
    if found:
        raise BundleError(
            f"the network uses {_listed(found)}, which not every runtime can run; expected plain "
            "convolutions, products and reductions: rewrite the encoder, see rewrites.py"
        )


def check_tensorrt(model: onnx.ModelProto) -> None:
    """Refuse a graph that TensorRT's parser does not know.

    Raises:
        BundleError: naming the operators, or a quantisation that is not symmetric.
    """
    foreign = {node.op_type for node in model.graph.node if node.domain not in ("", "ai.onnx")}
    unknown = (_used(model) - TENSORRT) | foreign
    if unknown:
        raise BundleError(
            f"the network uses {_listed(unknown)}, which TensorRT's published operator list lacks; "
            "export without --trt"
        )
    moved = [name for name, value in _zero_points(model) if value]
    if moved:
        raise BundleError(
            f"the network is quantised with a zero point that is not zero ({moved[0]} and "
            f"{len(moved) - 1} more); TensorRT takes symmetric quantisation only: export with --trt"
        )


def _used(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def _zero_points(model: onnx.ModelProto) -> Iterable[tuple[str, bool]]:
    """Of each quantising node: its name and whether any of its zero points is not zero."""
    stored = {entry.name: entry for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and len(node.input) > 2:
            # Zero points of int32 biases are stored empty or zero as well.
            yield node.name, bool(onnx.numpy_helper.to_array(stored[node.input[2]]).any())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
