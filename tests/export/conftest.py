"""Torch takes ten seconds to write a network as ONNX, however small: each is written once."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def each_network_is_written_once() -> Iterator[None]:
    """Exports of a network that is the same in weights, sizes and windows get the same file."""
    pytest.importorskip("torch", reason="the train extra is not installed")
    pytest.importorskip("onnx", reason="the export extra is not installed")
    from c2vl_export.onnx import write_onnx
    from c2vl_training.checkpoint import Checkpoint

    written: dict[str, bytes] = {}

    def once(
        checkpoint: Checkpoint, window: np.ndarray, path: Path, *, dynamic_frames: bool = False
    ) -> None:
        network = checkpoint.network
        told = (checkpoint.model_configs, checkpoint.experts, network, window.shape[1:])
        same = hashlib.sha256(repr((told, dynamic_frames)).encode())
        for name, value in network.state_dict().items():
            same.update(name.encode() + value.numpy().tobytes())
        key = same.hexdigest()
        if key not in written:
            write_onnx(checkpoint, window, path, dynamic_frames=dynamic_frames)
            written[key] = path.read_bytes()
        path.write_bytes(written[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("c2vl_export.package.write_onnx", once)
        yield
