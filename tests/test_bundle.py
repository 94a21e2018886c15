"""Bundles: the shipped one is whole, and a damaged one refuses with a sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.bundle import (
    CARD,
    GOLDEN,
    MODEL,
    BundleCard,
    ModelBundle,
    bundle_path,
    load_bundle,
    sha256,
    write_golden,
)
from c2vl_serve.errors import BundleError, RuntimeUnavailable
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime
from c2vl_serve.recognition.runtime import verify


@pytest.fixture(scope="module")
def everyday() -> ModelBundle:
    return load_bundle("everyday")


@pytest.fixture
def copy(everyday: ModelBundle, tmp_path: Path) -> Path:
    """A copy of the shipped bundle that a test may damage."""
    return Path(shutil.copytree(everyday.path, tmp_path / "copy"))


def rewrite_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **changes}))


def test_everyday_tells_where_its_labels_come_from(everyday: ModelBundle) -> None:
    card = everyday.card
    assert set(card.label_sources) == set(card.labels)
    assert "utd_mhad:right hand wave" in card.label_sources["wave"]
    assert all(card.label_sources.values())


def test_everyday_says_how_good_it_is_and_what_its_data_allow(everyday: ModelBundle) -> None:
    card = everyday.card
    assert set(card.accuracy) == {
        "utd_mhad", "nw_ucla", "msr_action3d", "msr_daily6", "bandai_namco_1", "bandai_namco_2",
    }  # fmt: skip
    assert all({"protocol", "clips", "top1"} <= set(entry) for entry in card.accuracy.values())
    assert {name for name, entry in card.accuracy.items() if "copies" in entry} == {"nw_ucla"}
    assert card.accuracy["nw_ucla"]["copies"] == 95  # decision 24
    assert 0 < card.calibration.threshold < 1
    assert any("non-commercial" in line for line in card.licences)


def test_two_classes_of_a_benchmark_never_share_a_label(everyday: ModelBundle) -> None:
    """Else the accuracy on that set would not be its protocol's."""
    for label, sources in everyday.card.label_sources.items():
        for benchmark in ("utd_mhad", "nw_ucla", "msr_action3d", "msr_daily6"):
            own = [s for s in sources if s.startswith(f"{benchmark}:") and "held" not in s]
            assert len(own) <= 1, label


def test_everyday_is_small(everyday: ModelBundle) -> None:
    assert sum(file.stat().st_size for file in everyday.path.iterdir()) < 20e6


def test_golden_sample_is_reproduced(everyday: ModelBundle) -> None:
    assert verify(OnnxRuntime(everyday), everyday) < 1e-4


def test_card_round_trip_is_whole(everyday: ModelBundle) -> None:
    assert BundleCard.from_dict(json.loads(json.dumps(everyday.card.to_dict()))) == everyday.card


def test_shipped_by_name_or_folder_by_path(everyday: ModelBundle, copy: Path) -> None:
    assert bundle_path("everyday") == everyday.path
    assert load_bundle(copy).card == everyday.card
    with pytest.raises(BundleError, match=r"no bundle 'nightly'.*shipped bundles \(everyday\)"):
        load_bundle("nightly")


@pytest.mark.parametrize("name", [MODEL, GOLDEN])
def test_a_changed_file_is_noticed(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes()[:-7])
    with pytest.raises(BundleError, match=r"was changed or cut short"):
        load_bundle(copy)


@pytest.mark.parametrize("name", [MODEL, GOLDEN])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "has schema version 99"),
        ({"colour": "blue"}, r"unknown keys \['colour'\]"),
        ({"idle_label": "flying"}, "'flying' is not among"),
        ({"preprocessing": {"fps": 15}}, "preprocessing has unknown keys"),
        ({"calibration": {}}, "is not a bundle card"),
    ],
)
def test_a_card_that_contradicts_itself(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    rewrite_card(copy, **changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(copy)


def test_a_card_that_is_not_json(copy: Path) -> None:
    (copy / CARD).write_text("{")
    with pytest.raises(BundleError, match="is not a bundle card"):
        load_bundle(copy)


def test_other_golden_logits_refuse_to_serve(everyday: ModelBundle, copy: Path) -> None:
    golden = everyday.golden
    write_golden(copy / GOLDEN, replace(golden, logits=golden.logits + 0.1))
    rewrite_card(copy, hashes={**everyday.card.hashes, GOLDEN: sha256(copy / GOLDEN)})
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match=r"misses its golden logits by 0\.1"):
        verify(OnnxRuntime(bundle), bundle)


def test_fewer_labels_than_logits_refuse_to_serve(copy: Path) -> None:
    card = json.loads((copy / CARD).read_text())
    rewrite_card(copy, labels=card["labels"][1:], idle_label=None)
    bundle = load_bundle(copy)
    with pytest.raises(BundleError, match="labels"):
        verify(OnnxRuntime(bundle), bundle)


def test_a_model_that_is_not_onnx(everyday: ModelBundle, copy: Path) -> None:
    (copy / MODEL).write_bytes(b"not a network")
    rewrite_card(copy, hashes={**everyday.card.hashes, MODEL: sha256(copy / MODEL)})
    with pytest.raises(BundleError, match="cannot load"):
        OnnxRuntime(load_bundle(copy))


def test_providers_that_are_not_there(everyday: ModelBundle) -> None:
    with pytest.raises(RuntimeUnavailable, match=r"unknown provider 'tpu'; known are auto"):
        OnnxRuntime(everyday, provider="tpu")
    import onnxruntime

    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(RuntimeUnavailable, match="is not in this onnxruntime"):
            OnnxRuntime(everyday, provider="tensorrt")
    assert OnnxRuntime(everyday, provider="auto").name.startswith("onnxruntime/")


def test_one_window_is_as_good_as_many(everyday: ModelBundle) -> None:
    runtime, card = OnnxRuntime(everyday), everyday.card
    shape = (70, card.preprocessing.num_channels, card.preprocessing.num_frames, 15, 1)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[:, -1] = 1
    together = runtime.run(x)
    assert len(together) == len(everyday.outputs)
    for index in (0, 33, 69):
        for whole, alone in zip(together, runtime.run(x[index : index + 1]), strict=True):
            np.testing.assert_allclose(alone[0], whole[index], atol=1e-4)
