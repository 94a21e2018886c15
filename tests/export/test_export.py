"""Export: torch and ONNX Runtime agree, at any batch, and nothing half-written stays."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export extra is not installed")

from dataclasses import replace  # noqa: E402

from c2vl_export.golden import golden_sequence  # noqa: E402
from c2vl_export.operators import check_operators, check_tensorrt  # noqa: E402
from c2vl_export.options import ExportOptions  # noqa: E402
from c2vl_export.package import refuse_drop, write_bundle  # noqa: E402
from c2vl_serve.bundle import load_bundle  # noqa: E402
from c2vl_serve.errors import BundleError, C2VLError  # noqa: E402
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime  # noqa: E402
from c2vl_serve.recognition.parity import Comparison, SetParity, read_parity  # noqa: E402
from c2vl_serve.recognition.recognizer import ActionRecognizer  # noqa: E402
from c2vl_serve.skeleton.preprocessing import preprocess  # noqa: E402
from c2vl_training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from tests.export.made_checkpoint import tiny_checkpoint  # noqa: E402

EVERYDAY = Path(__file__).parents[2] / "training" / "checkpoints" / "everyday.safetensors"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path]:
    checkpoint = tiny_checkpoint()
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    (comparison,) = write_bundle(checkpoint, folder).comparisons
    assert comparison.max_error < 1e-5
    return checkpoint, folder


@pytest.mark.parametrize("batch", [1, 5, 16])
def test_torch_is_onnx_runtime(exported: tuple[Checkpoint, Path], batch: int) -> None:
    checkpoint, folder = exported
    x = torch.randn(batch, 10, checkpoint.preprocessing.num_frames, 15, 1)
    x[:, -1] = (x[:, -1] > 0).float()
    with torch.no_grad():
        expected = checkpoint.model(x)
    found = OnnxRuntime(load_bundle(folder)).run(x.numpy())
    for ours, theirs in zip(expected, found, strict=True):
        np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-5)


def test_windows_of_other_lengths_where_asked_for(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    write_bundle(checkpoint, tmp_path / "any", ExportOptions(dynamic_frames=True))
    runtime = OnnxRuntime(load_bundle(tmp_path / "any"))
    for batch, frames in ((1, 16), (5, 40), (2, 128)):
        x = torch.randn(batch, 10, frames, 15, 1)
        x[:, -1] = (x[:, -1] > 0).float()
        with torch.no_grad():
            expected, _ = checkpoint.model(x)
        np.testing.assert_allclose(runtime.run(x.numpy())[0], expected.numpy(), atol=1e-5)


def test_other_runtimes_have_windows_of_one_length() -> None:
    with pytest.raises(C2VLError, match="tensorrt is tuned to windows of one length"):
        ExportOptions(runtime="tensorrt", dynamic_frames=True)


def test_the_graph_uses_operators_of_every_runtime(exported: tuple[Checkpoint, Path]) -> None:
    import onnx

    model = onnx.load(exported[1] / "model.onnx")
    check_operators(model)
    check_tensorrt(model)
    used = {node.op_type for node in model.graph.node}
    assert not used & {"Einsum", "AdaptiveAveragePool", "BatchNormalization", "Identity", "If"}
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert shape[0].dim_param  # dynamic batch
    assert [dim.dim_value for dim in shape][2] == exported[0].preprocessing.num_frames
    assert model.opset_import[0].version >= 17


def test_no_path_of_this_machine_travels_with_the_graph(exported: tuple[Checkpoint, Path]) -> None:
    assert str(Path(__file__).parents[2]).encode() not in (exported[1] / "model.onnx").read_bytes()


def test_only_the_bundle_is_left_in_the_folder(exported: tuple[Checkpoint, Path]) -> None:
    folder = exported[1]
    assert sorted(file.name for file in folder.iterdir()) == [
        "bundle.json", "golden.npz", "model.onnx", "parity.json",
    ]  # fmt: skip
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]


def test_a_failed_export_keeps_the_old_bundle(exported: tuple[Checkpoint, Path]) -> None:
    checkpoint, folder = exported
    before = (folder / "bundle.json").read_bytes()
    broken = replace(checkpoint, labels=("a", "b"))
    with pytest.raises(BundleError, match="2 labels"):
        write_bundle(broken, folder, ExportOptions(replace=True))
    assert (folder / "bundle.json").read_bytes() == before
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]


def test_an_old_bundle_is_replaced_only_when_asked(
    exported: tuple[Checkpoint, Path], tmp_path: Path
) -> None:
    checkpoint, folder = exported
    with pytest.raises(BundleError, match="exists already; replace it with --force"):
        write_bundle(checkpoint, folder)
    renamed = replace(checkpoint, card={**checkpoint.card, "name": "other"})
    write_bundle(renamed, tmp_path / "b")
    write_bundle(checkpoint, tmp_path / "b", ExportOptions(replace=True))
    assert load_bundle(tmp_path / "b").card.name == "tiny"
    assert [file.name for file in tmp_path.iterdir()] == ["b"]


def test_parity_says_who_was_compared_at_which_batches(exported: tuple[Checkpoint, Path]) -> None:
    report = read_parity(exported[1])
    assert report is not None
    assert "made-up windows" in report.source
    (comparison,) = report.comparisons
    assert (comparison.reference, comparison.candidate) == ("torch fp32", "onnxruntime fp32")
    assert list(comparison.batch_errors) == ["1", "5", "16"]
    assert max(comparison.batch_errors.values()) <= comparison.max_error + 1e-5
    assert (comparison.sets, comparison.agreement) == ({}, None)
    assert load_bundle(exported[1]).card.hashes.keys() >= {"parity.json", "model.onnx"}


def compared(**sets: SetParity) -> Comparison:
    return Comparison(
        reference="onnxruntime fp32", candidate="onnxruntime int8", windows=1, batch_errors={},
        max_error=0.0, mean_error=0.0, reference_ms=1.0, candidate_ms=1.0, sets=sets,
    )  # fmt: skip


def lost(clips: int, before: float, after: float) -> SetParity:
    return SetParity(clips=clips, agreement=99.0, reference_top1=before, candidate_top1=after)


def test_accuracy_may_fall_by_the_limit_over_all_clips() -> None:
    options = ExportOptions(precision="fp16")
    refuse_drop(compared(a=lost(1000, 90.0, 89.6)), options)
    refuse_drop(compared(a=lost(1000, 90.0, 90.0), b=lost(30, 90.0, 86.67)), options)  # one clip
    refuse_drop(compared(), options)
    with pytest.raises(
        BundleError, match=r"loses 0\.60 points .* over 1000 test clips.*--max-drop"
    ):
        refuse_drop(compared(a=lost(1000, 90.0, 89.4)), options)
    with pytest.raises(BundleError, match=r"too much on: b 6\.67"):
        refuse_drop(compared(a=lost(1000, 90.0, 90.0), b=lost(30, 90.0, 83.33)), options)
    refuse_drop(compared(a=lost(1000, 90.0, 89.4)), replace(options, max_drop=1.0))


def test_an_exported_bundle_recognises(exported: tuple[Checkpoint, Path]) -> None:
    checkpoint, folder = exported
    answer = ActionRecognizer.load(folder).recognise(golden_sequence(checkpoint.preprocessing))
    assert {action.label for action in answer.actions} == {"a", "b", "c"}


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    write_checkpoint(tmp_path / "tiny.safetensors", checkpoint)
    back = read_checkpoint(tmp_path / "tiny.safetensors")
    assert back.model_configs == checkpoint.model_configs
    assert back.preprocessing == checkpoint.preprocessing
    assert (back.labels, back.card) == (checkpoint.labels, checkpoint.card)
    for name, value in checkpoint.model.state_dict().items():
        assert torch.equal(back.model.state_dict()[name], value)
    assert [f.name for f in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_checkpoints_that_cannot_be_used(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(BundleError, match="cannot be read"):
        read_checkpoint(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("weights")
    with pytest.raises(BundleError, match="cannot be read"):
        read_checkpoint(tmp_path / "text.safetensors")
    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BundleError, match="has format None; expected 'c2vl-checkpoint-"):
        read_checkpoint(tmp_path / "other.safetensors")


def test_shipped_checkpoint_is_the_shipped_bundle() -> None:
    """torch on the checkpoint = the golden logits = ONNX Runtime on the bundle."""
    bundle, checkpoint = load_bundle("everyday"), read_checkpoint(EVERYDAY)
    assert checkpoint.labels == bundle.card.labels
    x = preprocess(bundle.golden.sequence, bundle.card.preprocessing)
    with torch.no_grad():
        logits, representation = checkpoint.model(torch.from_numpy(x))
    np.testing.assert_allclose(logits.numpy(), bundle.golden.logits, atol=1e-5)
    found, found_representation, concept = OnnxRuntime(bundle).run(x)
    assert checkpoint.language is not None
    with torch.no_grad():
        expected = checkpoint.language.head(representation).numpy()
    np.testing.assert_allclose(concept, expected, atol=1e-4)
    np.testing.assert_allclose(found, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(found_representation, representation.numpy(), atol=1e-4)
