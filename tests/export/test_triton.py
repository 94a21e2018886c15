"""A Triton repository, read back by the protocol that Triton itself reads it with."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the export extra is not installed")
model_config_pb2 = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed"
)

from google.protobuf import text_format  # noqa: E402

from c2vl_export.triton import config_text, write_repository  # noqa: E402
from c2vl_serve.bundle import ModelBundle, load_bundle  # noqa: E402
from c2vl_serve.errors import BundleError  # noqa: E402


@pytest.fixture(scope="module")
def everyday() -> ModelBundle:
    return load_bundle("everyday")


def test_the_folders_that_triton_expects(everyday: ModelBundle, tmp_path: Path) -> None:
    (tmp_path / "another").mkdir()
    model = write_repository(everyday, tmp_path, replace=False)
    assert model == tmp_path / "everyday"
    assert (model / "1" / "model.onnx").read_bytes() == everyday.model_path.read_bytes()
    assert {"bundle.json", "golden.npz"} <= {file.name for file in (model / "card").iterdir()}
    assert (model / "labels.txt").read_text().splitlines() == list(everyday.card.labels)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["another", "everyday"]
    with pytest.raises(BundleError, match="exists already"):
        write_repository(everyday, tmp_path, replace=False)
    write_repository(everyday, tmp_path, replace=True)


def test_the_configuration_is_a_model_config(everyday: ModelBundle) -> None:
    config = text_format.Parse(config_text(everyday, 32), model_config_pb2.ModelConfig())
    card = everyday.card
    window = [card.preprocessing.num_channels, card.preprocessing.num_frames, 15, 1]
    assert (config.name, config.platform) == ("everyday", "onnxruntime_onnx")
    assert config.max_batch_size == 32
    (given,) = config.input
    assert (given.name, list(given.dims)) == ("skeletons", window)
    assert given.data_type == model_config_pb2.TYPE_FP32
    logits, representation, concept = config.output
    assert (concept.name, len(concept.dims)) == ("concept", 1)
    assert (logits.name, list(logits.dims)) == ("logits", [len(card.labels)])
    assert logits.label_filename == "labels.txt"
    assert representation.name == "representation"
    assert representation.dims[0] > 0
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 16, 32]
    assert [each.batch_size for each in config.model_warmup] == [1, 32]
    for each in config.model_warmup:
        assert list(each.inputs["skeletons"].dims) == window
        assert each.inputs["skeletons"].zero_data


def test_a_plan_goes_to_the_gpu(everyday: ModelBundle) -> None:
    bundle = replace(everyday, card=replace(everyday.card, runtime="tensorrt"))
    config = text_format.Parse(config_text(bundle, 4), model_config_pb2.ModelConfig())
    assert config.platform == "tensorrt_plan"
    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    assert list(config.dynamic_batching.preferred_batch_size) == [4]
    assert not config.parameters
