"""Export on real clips, in the made-up UTD set: who agrees, set by set, and int8 as a bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.clips import RealClips, read_clips
from c2vl_export.options import ExportOptions
from c2vl_export.package import write_bundle
from c2vl_serve.bundle import load_bundle
from c2vl_serve.errors import BundleError, C2VLError, SequenceError
from c2vl_serve.recognition.parity import SetParity, read_parity
from c2vl_serve.recognition.recognizer import ActionRecognizer
from tests.conftest import waving
from tests.export.made_checkpoint import utd_checkpoint
from tests.training.made_sets import write_made_utd


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_made_utd(folder)
    return folder


@pytest.fixture(scope="module")
def clips(data: Path) -> RealClips:
    return read_clips(utd_checkpoint(), data)


def test_whole_test_split_and_training_clips_only_to_calibrate(clips: RealClips) -> None:
    assert len(clips.pool) == 6  # subject 2 of 1, 2, 7
    assert clips.pool.test.all()
    assert len(clips.inputs) == sum(len(windows.inputs) for windows in clips.clips.windows)
    assert clips.calibration.shape[1:] == clips.inputs.shape[1:]
    assert len(clips.calibration) >= 12  # subjects 1 and 7, and held frames


def test_agreement_and_accuracy_are_counted_by_clip(clips: RealClips) -> None:
    sure = np.zeros((len(clips.inputs), 7), np.float32)
    stops = np.cumsum([0, *(len(windows.inputs) for windows in clips.clips.windows)])
    for clip, label in enumerate(clips.pool.labels):
        sure[stops[clip] : stops[clip + 1], label] = 9
    wrong = sure.copy()
    wrong[stops[0] : stops[1]] = np.roll(sure[stops[0] : stops[1]], 1, axis=1)
    found = clips.per_set(sure, wrong)
    assert found == {
        "utd_mhad": SetParity(clips=6, agreement=83.33, reference_top1=100.0, candidate_top1=83.33)
    }
    assert found["utd_mhad"].drop == pytest.approx(16.67)


def test_int8_bundle_of_a_set(data: Path, tmp_path: Path) -> None:
    options = ExportOptions(precision="int8", data=data, max_drop=100.0)
    report = write_bundle(utd_checkpoint(), tmp_path / "b", options)
    assert read_parity(tmp_path / "b") == report
    first, second = report.comparisons
    assert (second.reference, second.candidate) == ("onnxruntime fp32", "onnxruntime int8")
    assert (first.clips, second.clips, first.agreement) == (6, 6, 100.0)
    bundle = load_bundle(tmp_path / "b")
    assert bundle.card.precision == "int8"
    assert bundle.card.accuracy["utd_mhad"]["top1"] == second.sets["utd_mhad"].candidate_top1
    assert 1e-3 <= bundle.card.tolerance <= 1
    labels = {a.label for a in ActionRecognizer.load(tmp_path / "b").recognise(waving()).actions}
    assert labels <= set(bundle.card.labels)


def test_int8_needs_clips() -> None:
    with pytest.raises(C2VLError, match="int8 needs real clips.*--data"):
        ExportOptions(precision="int8")


@pytest.mark.parametrize(
    ("precision", "runtime", "message"),
    [
        ("bf16", "onnxruntime", "onnxruntime does not take bf16;.*bf16 goes with openvino"),
        ("bf16", "tensorrt", "tensorrt does not take bf16"),
        ("fp16", "openvino", "openvino does not take fp16;.*onnxruntime or tensorrt"),
    ],
)
def test_precisions_that_a_runtime_lacks(precision: str, runtime: str, message: str) -> None:
    with pytest.raises(C2VLError, match=message):
        ExportOptions(precision=precision, runtime=runtime)


def test_checkpoints_of_other_sets(data: Path, tmp_path: Path) -> None:
    checkpoint = utd_checkpoint()
    sources = checkpoint.card["label_sources"]
    strange = replace(
        checkpoint, card={**checkpoint.card, "label_sources": {**sources, "x": ["kinetics:x"]}}
    )
    with pytest.raises(SequenceError, match="learned from set 'kinetics', which is not known"):
        read_clips(strange, data)
    fewer = {label: found for label, found in sources.items() if label != "wave"}
    odd = replace(checkpoint, card={**checkpoint.card, "label_sources": fewer})
    with pytest.raises(BundleError, match=r"not in both: \['wave'\]"):
        read_clips(odd, data)
    with pytest.raises(SequenceError, match="cannot be read"):
        read_clips(checkpoint, tmp_path)
