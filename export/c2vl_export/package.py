"""Write a bundle: network, golden sample and card, checked against torch before it is kept."""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2vl_export.golden import golden_sequence
from c2vl_export.onnx import write_onnx
from c2vl_serve.bundle import (
    CARD,
    GOLDEN,
    MODEL,
    BundleCard,
    Calibration,
    Golden,
    load_bundle,
    sha256,
    write_golden,
)
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime
from c2vl_serve.recognition.runtime import verify
from c2vl_serve.skeleton.preprocessing import preprocess
from c2vl_training.checkpoint import Checkpoint

TOLERANCE = 1e-3  # logits; ONNX Runtime on CPU stays below 1e-5


def write_bundle(checkpoint: Checkpoint, folder: Path) -> float:
    """Write the checkpoint's bundle and verify it on ONNX Runtime; replaces ``folder`` whole.

    Returns:
        The largest difference between torch's and ONNX Runtime's golden logits.

    Raises:
        BundleError: when the written network does not give torch's logits; nothing is kept.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write_onnx(checkpoint, beside / MODEL)
        sequence = golden_sequence(checkpoint.preprocessing)
        x = torch.from_numpy(preprocess(sequence, checkpoint.preprocessing))
        with torch.no_grad():
            logits, _ = checkpoint.model(x)
        write_golden(beside / GOLDEN, Golden(sequence=sequence, logits=logits.numpy()))
        card = replace(
            _card(checkpoint), hashes={name: sha256(beside / name) for name in (MODEL, GOLDEN)}
        )
        text = json.dumps(card.to_dict(), indent=1, ensure_ascii=False)
        (beside / CARD).write_text(text + "\n", encoding="utf-8")
        bundle = load_bundle(beside)
        difference = verify(OnnxRuntime(bundle), bundle)
        beside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return difference


def _card(checkpoint: Checkpoint) -> BundleCard:
    values: dict[str, Any] = checkpoint.card
    return BundleCard(
        **{
            **values,
            "calibration": Calibration(**values["calibration"]),
            "licences": tuple(values["licences"]),
        },
        labels=checkpoint.labels,
        preprocessing=checkpoint.preprocessing,
        num_parameters=sum(p.numel() for p in checkpoint.model.parameters()),
        gflop=round(_gflop(checkpoint), 4),
        tolerance=TOLERANCE,
        hashes={},
    )


def _gflop(checkpoint: Checkpoint) -> float:
    """Floating point operations of one window, counted by torch while it runs."""
    from torch.utils.flop_counter import FlopCounterMode

    config, preprocessing = checkpoint.model_config, checkpoint.preprocessing
    shape = (1, config.num_channels, preprocessing.num_frames, config.num_joints, 1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        checkpoint.model(torch.from_numpy(np.ones(shape, np.float32)))
    return counter.get_total_flops() / 1e9
