"""A bundle may carry texts: checkpoint, graph, files and every runtime agree about them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export extra is not installed")

import onnx  # noqa: E402

from c2vl_export.half import to_half  # noqa: E402
from c2vl_export.operators import check_tensorrt  # noqa: E402
from c2vl_export.options import ExportOptions  # noqa: E402
from c2vl_export.package import write_bundle  # noqa: E402
from c2vl_export.quantize import quantise  # noqa: E402
from c2vl_serve.bundle import CARD, GOLDEN, TEXTS, load_bundle, sha256, write_golden  # noqa: E402
from c2vl_serve.errors import BundleError  # noqa: E402
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime  # noqa: E402
from c2vl_serve.recognition.runtime import verify  # noqa: E402
from c2vl_serve.recognition.runtimes import load_runtime  # noqa: E402
from c2vl_serve.skeleton.arrays import ModelInput  # noqa: E402
from c2vl_training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from c2vl_training.model.language import Language, LanguageHead  # noqa: E402
from tests.export.made_checkpoint import tiny_checkpoint  # noqa: E402

TEXTS_ASKED = ("wave the right hand", "sit down", "hop on one leg", "take a bow")
E = 12  # width of the made-up embeddings


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """The tiny one, with a head that was never trained and four made-up embeddings."""
    plain = tiny_checkpoint()
    torch.manual_seed(1)
    embeddings = np.random.default_rng(0).normal(size=(len(TEXTS_ASKED), E)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    width = sum(member.encoder.num_features for member in plain.model.members)
    language = Language(
        head=LanguageHead(width, E).eval(),
        texts=TEXTS_ASKED,
        embeddings=embeddings,
        temperature=0.05,
        encoder="made-up encoder",
    )
    return replace(plain, language=language)


@pytest.fixture(scope="module")
def bundle_folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "texts"
    write_bundle(checkpoint, folder)
    return folder


def windows(checkpoint: Checkpoint, batch: int) -> ModelInput:
    config = checkpoint.preprocessing
    shape = (batch, config.num_channels, config.num_frames, config.num_joints, 1)
    x = np.random.default_rng(batch).normal(size=shape).astype(np.float32)
    x[:, -1] = 1
    return x


def test_the_checkpoint_keeps_them(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "texts.safetensors", checkpoint)
    back = read_checkpoint(tmp_path / "texts.safetensors")
    assert back.language is not None
    assert checkpoint.language is not None
    assert (back.language.texts, back.language.temperature) == (TEXTS_ASKED, 0.05)
    assert back.language.encoder == "made-up encoder"
    np.testing.assert_array_equal(back.language.embeddings, checkpoint.language.embeddings)
    x = torch.from_numpy(windows(checkpoint, 3))
    with torch.no_grad():
        for ours, theirs in zip(back.network(x), checkpoint.network(x), strict=True):
            assert torch.equal(ours, theirs)


def test_a_checkpoint_without_them_is_as_before(tmp_path: Path) -> None:
    from safetensors import safe_open

    write_checkpoint(tmp_path / "plain.safetensors", tiny_checkpoint())
    back = read_checkpoint(tmp_path / "plain.safetensors")
    assert back.language is None
    assert back.network is back.model
    with safe_open(tmp_path / "plain.safetensors", framework="pt") as file:
        assert "language" not in json.loads(file.metadata()["c2vl"])


def test_as_many_texts_as_embeddings(checkpoint: Checkpoint) -> None:
    assert checkpoint.language is not None
    with pytest.raises(BundleError, match=r"3 texts and 4 embeddings"):
        replace(checkpoint.language, texts=TEXTS_ASKED[1:])


def test_the_head_gives_unit_vectors_whatever_comes_in() -> None:
    torch.manual_seed(0)
    head = LanguageHead(8, E)
    x = torch.randn(5, 8) * torch.tensor([1e-2, 1.0, 1e2, 1e4, 1e6])[:, None]
    torch.testing.assert_close(head(x).norm(dim=1), torch.ones(5))


@pytest.mark.parametrize("batch", [1, 5, 70])
def test_all_three_outputs_are_torchs(
    checkpoint: Checkpoint, bundle_folder: Path, batch: int
) -> None:
    x = windows(checkpoint, batch)
    bundle = load_bundle(bundle_folder)
    found = OnnxRuntime(bundle).run(x)
    assert len(found) == len(bundle.outputs) == 3
    with torch.no_grad():
        expected = checkpoint.network(torch.from_numpy(x))
    for ours, theirs in zip(expected, found, strict=True):
        np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found[2], axis=1), 1, atol=1e-5)


def test_openvino_gives_the_concept_too(checkpoint: Checkpoint, bundle_folder: Path) -> None:
    pytest.importorskip("openvino", reason="the openvino extra is not installed")
    bundle = load_bundle(bundle_folder)
    other = replace(bundle, card=replace(bundle.card, runtime="openvino"))
    x = windows(checkpoint, 5)
    runtime = load_runtime(other)
    assert verify(runtime, other) < 1e-3
    for ours, theirs in zip(runtime.run(x), OnnxRuntime(bundle).run(x), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_half_floats_do_not_overflow_in_the_head(
    checkpoint: Checkpoint, bundle_folder: Path, tmp_path: Path
) -> None:
    """A head whose sums of squares are beyond 65504 still gives its direction."""
    model = onnx.load(bundle_folder / "model.onnx")
    onnx.save(to_half(model), tmp_path / "model.onnx")
    bundle = load_bundle(bundle_folder)
    half = OnnxRuntime(replace(bundle, path=tmp_path))
    x = windows(checkpoint, 4)
    cosine = (half.run(x)[2] * OnnxRuntime(bundle).run(x)[2]).sum(axis=1)
    np.testing.assert_allclose(cosine, 1, atol=1e-3)
    check_tensorrt(model)


def test_int8_leaves_the_head_in_float(checkpoint: Checkpoint, bundle_folder: Path) -> None:
    model = onnx.load(bundle_folder / "model.onnx")
    done = quantise(model, windows(checkpoint, 8))
    products = [node for node in done.model.graph.node if node.op_type == "Gemm"]
    quantised = {
        name
        for node in done.model.graph.node
        if node.op_type == "DequantizeLinear"
        for name in node.output
    }
    head = [node for node in products if not quantised & set(node.input)]
    assert len(head) >= 2  # both products of the head
    assert len(head) < len(products)  # but not those that give logits


def test_the_files_say_what_can_be_asked(bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    assert bundle.texts is not None
    assert bundle.texts.texts == TEXTS_ASKED
    assert bundle.texts.temperature == 0.05
    assert bundle.card.text_encoder == "made-up encoder"
    assert TEXTS in bundle.card.hashes
    assert bundle.golden.concept is not None


def test_a_plain_bundle_is_as_before(tmp_path: Path) -> None:
    write_bundle(tiny_checkpoint(), tmp_path / "plain")
    bundle = load_bundle(tmp_path / "plain")
    assert (bundle.texts, bundle.card.text_encoder, bundle.golden.concept) == (None, None, None)
    assert bundle.outputs == ("logits", "representation")
    assert not (tmp_path / "plain" / TEXTS).exists()


def test_texts_that_cannot_be_asked_for_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert checkpoint.language is not None
    with_comma = replace(checkpoint.language, texts=("sit, then stand", *TEXTS_ASKED[1:]))
    with pytest.raises(BundleError, match=r"the text 'sit, then stand'; expected .*commas"):
        write_bundle(replace(checkpoint, language=with_comma), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def rewrite_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **changes}))


def test_another_golden_concept_refuses_to_serve(
    checkpoint: Checkpoint, bundle_folder: Path, tmp_path: Path
) -> None:
    write_bundle(checkpoint, tmp_path / "b", ExportOptions())
    golden = load_bundle(tmp_path / "b").golden
    assert golden.concept is not None
    write_golden(tmp_path / "b" / GOLDEN, replace(golden, concept=-golden.concept))
    hashes = json.loads((tmp_path / "b" / CARD).read_text())["hashes"]
    rewrite_card(tmp_path / "b", hashes={**hashes, GOLDEN: sha256(tmp_path / "b" / GOLDEN)})
    bundle = load_bundle(tmp_path / "b")
    with pytest.raises(BundleError, match="misses its golden"):
        verify(OnnxRuntime(bundle), bundle)


def test_texts_without_their_encoder_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_bundle(checkpoint, tmp_path / "b")
    rewrite_card(tmp_path / "b", text_encoder=None)
    with pytest.raises(BundleError, match=r"texts of width 12.*text encoder None.*all or none"):
        load_bundle(tmp_path / "b")
