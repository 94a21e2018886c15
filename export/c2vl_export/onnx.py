"""A checkpoint's network as ONNX: dynamic batch, logits and representation."""

import warnings
from pathlib import Path

import onnx
import torch

from c2vl_training.checkpoint import Checkpoint

OPSET = 18


def write_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``model.onnx``; inputs ``skeletons N C T V 1``, outputs ``logits, representation``."""
    config, preprocessing = checkpoint.model_config, checkpoint.preprocessing
    # Two samples: an example batch of one would be taken for a constant.
    example = torch.zeros(2, config.num_channels, preprocessing.num_frames, config.num_joints, 1)
    example[:, -1] = 1
    with warnings.catch_warnings():
        # The exporter warns about its own internals; the result is checked below and by parity.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            checkpoint.model,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["skeletons"],
            output_names=["logits", "representation"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(path))
    onnx.checker.check_model(onnx.load(path), full_check=True)
