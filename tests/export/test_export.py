"""Export: torch and ONNX Runtime agree, at any batch, and nothing half-written stays."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export extra is not installed")

from c2vl_export.golden import golden_sequence  # noqa: E402
from c2vl_export.package import write_bundle  # noqa: E402
from c2vl_serve.bundle import load_bundle  # noqa: E402
from c2vl_serve.errors import BundleError  # noqa: E402
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime  # noqa: E402
from c2vl_serve.recognition.recognizer import ActionRecognizer  # noqa: E402
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig, preprocess  # noqa: E402
from c2vl_training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from c2vl_training.model.classifier import ClassifierConfig  # noqa: E402
from c2vl_training.model.ensemble import Ensemble  # noqa: E402
from c2vl_training.model.temporal import TemporalConfig  # noqa: E402

EVERYDAY = Path(__file__).parents[2] / "training" / "checkpoints" / "everyday.safetensors"

CARD = {
    "name": "tiny",
    "version": "0.0.1",
    "description": "A network that was never trained.",
    "label_sources": {"a": ["x:a"], "b": ["x:b"], "c": ["x:c"]},
    "idle_label": None,
    "accuracy": {},
    "calibration": {
        "temperature": 1.0,
        "expected_calibration_error": 0.0,
        "threshold": 0.5,
        "fitted_on": "nothing",
        "known_accepted": 0.0,
        "unknown_rejected": 0.0,
    },
    "training": {"recipe": "none"},
    "licences": ["ours"],
}


def tiny_checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    preprocessing = PreprocessingConfig()
    config = ClassifierConfig(
        num_channels=preprocessing.num_channels,
        num_joints=preprocessing.num_joints,
        num_labels=3,
        encoder=TemporalConfig(channels=16, depth=2),
    )
    model = Ensemble(config, 2)
    with torch.no_grad():  # batch norms that do something
        model.train()(torch.randn(32, 10, preprocessing.num_frames, 15, 1))
    return Checkpoint(
        model=model.eval(),
        model_config=config,
        preprocessing=preprocessing,
        labels=("a", "b", "c"),
        card=CARD,
    )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Path]:
    checkpoint = tiny_checkpoint()
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    assert write_bundle(checkpoint, folder) < 1e-5
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


def test_the_graph_uses_operators_of_every_runtime(exported: tuple[Checkpoint, Path]) -> None:
    import onnx

    graph = onnx.load(exported[1] / "model.onnx").graph
    used = {node.op_type for node in graph.node}
    assert not used & {"Einsum", "AdaptiveAveragePool", "Loop", "If", "NonZero"}
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param  # dynamic batch


def test_only_the_bundle_is_left_in_the_folder(exported: tuple[Checkpoint, Path]) -> None:
    folder = exported[1]
    assert sorted(f.name for f in folder.iterdir()) == ["bundle.json", "golden.npz", "model.onnx"]
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]


def test_a_failed_export_keeps_the_old_bundle(exported: tuple[Checkpoint, Path]) -> None:
    checkpoint, folder = exported
    before = (folder / "bundle.json").read_bytes()
    broken = Checkpoint(
        model=checkpoint.model,
        model_config=checkpoint.model_config,
        preprocessing=checkpoint.preprocessing,
        labels=("a", "b"),
        card=CARD,
    )
    with pytest.raises(BundleError, match="2 labels"):
        write_bundle(broken, folder)
    assert (folder / "bundle.json").read_bytes() == before
    assert [f.name for f in folder.parent.iterdir()] == [folder.name]


def test_an_exported_bundle_recognises(exported: tuple[Checkpoint, Path]) -> None:
    checkpoint, folder = exported
    answer = ActionRecognizer.load(folder).recognise(golden_sequence(checkpoint.preprocessing))
    assert {action.label for action in answer.actions} == {"a", "b", "c"}


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    write_checkpoint(tmp_path / "tiny.safetensors", checkpoint)
    back = read_checkpoint(tmp_path / "tiny.safetensors")
    assert back.model_config == checkpoint.model_config
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
    with pytest.raises(BundleError, match="has format None; expected 'c2vl-checkpoint-1'"):
        read_checkpoint(tmp_path / "other.safetensors")


def test_shipped_checkpoint_is_the_shipped_bundle() -> None:
    """torch on the checkpoint = the golden logits = ONNX Runtime on the bundle."""
    bundle, checkpoint = load_bundle("everyday"), read_checkpoint(EVERYDAY)
    assert checkpoint.labels == bundle.card.labels
    x = preprocess(bundle.golden.sequence, bundle.card.preprocessing)
    with torch.no_grad():
        logits, representation = checkpoint.model(torch.from_numpy(x))
    np.testing.assert_allclose(logits.numpy(), bundle.golden.logits, atol=1e-5)
    found, found_representation = OnnxRuntime(bundle).run(x)
    np.testing.assert_allclose(found, logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(found_representation, representation.numpy(), atol=1e-4)
