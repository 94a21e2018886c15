"""A tiny bundle that is real in all but its wisdom, and a client of a service that serves it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from starlette.testclient import TestClient

from c2vl_serve import bundle as bundles
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.skeleton.layout import KINECT20
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess
from c2vl_serve.skeleton.sequence import SkeletonSequence

LABELS = ("sit down", "stand up", "wave")
CONFIG = PreprocessingConfig(num_frames=16)


def _write_model(path: Path) -> None:
    """The mean of each joint's channels, times fixed weights."""
    C, V = CONFIG.num_channels, CONFIG.num_joints
    weights = np.random.default_rng(0).normal(size=(C * V, len(LABELS))).astype(np.float32)
    shape = ["N", C, CONFIG.num_frames, V, 1]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("LpNormalization", ["flat"], ["representation"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(LABELS)]),
            helper.make_tensor_value_info("representation", TensorProto.FLOAT, ["N", C * V]),
        ],
        [
            numpy_helper.from_array(np.array([2, 4], np.int64), "axes"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _write_card(folder: Path) -> None:
    hashes = {name: bundles.sha256(folder / name) for name in (bundles.MODEL, bundles.GOLDEN)}
    card = bundles.BundleCard(
        name="tiny",
        version="1.0.0",
        description="Averages joints; knows nothing.",
        labels=LABELS,
        label_sources={label: [f"made_up:{label}"] for label in LABELS},
        idle_label=None,
        preprocessing=CONFIG,
        accuracy={"made_up": {"protocol": "none", "num_clips": 3, "top1": 33.3}},
        calibration=bundles.Calibration(
            temperature=1.0,
            expected_calibration_error=0.5,
            threshold=0.4,
            fitted_on="nothing",
            known_accepted=0.9,
            unknown_rejected=0.1,
        ),
        training={"seed": 0},
        licences=("made_up: free",),
        num_parameters=450,
        gflop=0.0,
        tolerance=1e-4,
        hashes=hashes,
    )
    (folder / bundles.CARD).write_text(json.dumps(card.to_dict()))


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    folder.mkdir()
    _write_model(folder / bundles.MODEL)
    joints = np.random.default_rng(1).normal(size=(20, 1, 20, 3)).astype(np.float32)
    sequence = SkeletonSequence(joints=joints, fps=30.0, layout=KINECT20)
    session = onnxruntime.InferenceSession(
        str(folder / bundles.MODEL), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(["logits"], {"x": preprocess(sequence, CONFIG)})
    golden = bundles.Golden(sequence=sequence, logits=np.asarray(logits))
    bundles.write_golden(folder / bundles.GOLDEN, golden)
    _write_card(folder)
    return folder


@pytest.fixture(scope="session")
def recognizer(tiny_bundle: Path) -> ActionRecognizer:
    return ActionRecognizer.load(tiny_bundle)


@pytest.fixture(scope="module")
def client(recognizer: ActionRecognizer) -> Iterator[TestClient]:
    """Of a service without videos."""
    with TestClient(create_app(ServiceSettings(pose_workers=0), recognizer)) as client:
        yield client
