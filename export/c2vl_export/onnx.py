"""A checkpoint's network as ONNX: dynamic batch, named outputs, folded and checked."""

import logging
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch

from c2vl_export.folding import fold
from c2vl_export.operators import check_operators
from c2vl_export.rewrites import for_inference
from c2vl_serve.bundle import CONCEPT, OUTPUTS
from c2vl_serve.skeleton.arrays import ModelInput
from c2vl_training.checkpoint import Checkpoint

OPSET = 18
FRAMES_STEP = 8  # no encoder halves time more than three times
INPUT = "skeletons"


def write_onnx(
    checkpoint: Checkpoint, window: ModelInput, path: Path, *, dynamic_frames: bool = False
) -> None:
    """Write ``model.onnx``; input ``skeletons N C T V M``, outputs ``logits, representation``.

    A checkpoint with texts has a third output, ``concept``.

    Args:
        checkpoint: what to write.
        window: a model input of any batch, for its shape.
        path: where to.
        dynamic_frames: take windows of any multiple of :data:`FRAMES_STEP` frames, two at least,
            and not only of as many as the bundle's own have.

    Raises:
        BundleError: when the graph uses operators that not every runtime has.
    """
    # Two samples: an example batch of one would be taken for a constant.
    example = torch.from_numpy(window[:1]).expand(2, *window.shape[1:]).contiguous()
    # The exporter complains of its own internals and of torchvision, which nothing here needs;
    # the result is checked below and by parity.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            for_inference(checkpoint.network),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[*OUTPUTS, *([] if checkpoint.language is None else [CONCEPT])],
            dynamic_shapes=(_dynamic(dynamic_frames),),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = fold(_named(program.model_proto))
    check_operators(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _dynamic(frames: bool) -> dict[int, Any]:
    """Which axes of the input may have any length."""
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    if not frames:
        return batch
    return {**batch, 2: FRAMES_STEP * torch.export.Dim("steps", min=2, max=512)}


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every node called after what it computes: int8 names layers by it."""
    for node in model.graph.node:
        node.name = node.output[0]
        del node.metadata_props[:]  # where in the source it came from, with this machine's paths
    return model
