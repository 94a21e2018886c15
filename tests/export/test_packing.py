"""Packing: rounded weights are stored as integers, others as they are, and no number changes."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.onnx import write_onnx
from c2vl_export.operators import check_operators, check_tensorrt
from c2vl_export.package import made_up_windows, write_bundle
from c2vl_export.packing import packed
from c2vl_training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from c2vl_training.model.rounding import rounded
from tests.export.made_checkpoint import tiny_checkpoint

WINDOWS = made_up_windows(tiny_checkpoint().preprocessing)


def network_of(checkpoint: Checkpoint, folder: Path) -> onnx.ModelProto:
    write_onnx(checkpoint, WINDOWS, folder / "model.onnx")
    return onnx.load(folder / "model.onnx")


def answers(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [np.asarray(each) for each in session.run(None, {"skeletons": WINDOWS})]


def rounded_checkpoint() -> Checkpoint:
    checkpoint = tiny_checkpoint()
    rounded(checkpoint.model)
    return checkpoint


def test_rounded_weights_are_integers_also_where_norms_went_into_them(tmp_path: Path) -> None:
    network = network_of(rounded_checkpoint(), tmp_path)
    smaller = packed(network)
    onnx.checker.check_model(smaller, full_check=True)
    check_operators(smaller)
    check_tensorrt(smaller)
    kept = [
        entry.name
        for entry in smaller.graph.initializer
        if entry.data_type == onnx.TensorProto.FLOAT and np.prod(entry.dims) >= 1024
    ]
    assert kept == []
    for ours, theirs in zip(answers(smaller), answers(network), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_weights_that_were_never_rounded_stay_floats(tmp_path: Path) -> None:
    network = network_of(tiny_checkpoint(), tmp_path)
    assert packed(network) == network


def test_bundle_and_checkpoint_of_a_rounded_network_are_small_and_the_same(tmp_path: Path) -> None:
    plain, checkpoint = tiny_checkpoint(), rounded_checkpoint()
    files = [tmp_path / f"{name}.safetensors" for name in ("plain", "rounded")]
    for each, file in zip((plain, checkpoint), files, strict=True):
        write_checkpoint(file, each)
        write_bundle(each, tmp_path / file.stem)
    again = read_checkpoint(files[1]).model.state_dict()
    for name, weight in checkpoint.model.state_dict().items():
        assert weight.equal(again[name]), name
    models = [tmp_path / file.stem / "model.onnx" for file in files]
    for large, small in (files, models):
        assert small.stat().st_size < 0.75 * large.stat().st_size
