"""``labels=`` with texts that a bundle carries beside its labels, over HTTP."""

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
from c2vl_serve.gallery_space import unit
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.skeleton.preprocessing import preprocess
from c2vl_serve.texts import TextVocabulary, write_texts

from .test_gallery_routes import body

WIDTH = 4  # of the concept
TEXTS = ("hop on one leg", "take a bow", "Turn around")


def _add_concept(source: Path, target: Path) -> None:
    """The tiny network with a third output: its features times fixed weights, of unit length."""
    model = onnx.load(source)
    features = model.graph.output[1].type.tensor_type.shape.dim[1].dim_value
    weights = np.random.default_rng(2).normal(size=(features, WIDTH)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "concept_weights"))
    model.graph.node.extend(
        [
            helper.make_node("MatMul", ["flat", "concept_weights"], ["direction"]),
            helper.make_node("LpNormalization", ["direction"], ["concept"]),
        ]
    )
    output = helper.make_tensor_value_info("concept", TensorProto.FLOAT, ["N", WIDTH])
    model.graph.output.append(output)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


@pytest.fixture(scope="module")
def bundle_with_texts(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with three texts, of which the golden sample is the second."""
    folder = tmp_path_factory.mktemp("bundles") / "texts"
    folder.mkdir()
    _add_concept(tiny_bundle / bundles.MODEL, folder / bundles.MODEL)
    tiny = bundles.load_bundle(tiny_bundle)
    session = onnxruntime.InferenceSession(
        str(folder / bundles.MODEL), providers=["CPUExecutionProvider"]
    )
    window = preprocess(tiny.golden.sequence, tiny.card.preprocessing)
    logits, concept = session.run(["logits", "concept"], {"x": window})
    golden = bundles.Golden(sequence=tiny.golden.sequence, logits=logits, concept=concept)
    bundles.write_golden(folder / bundles.GOLDEN, golden)
    across = np.roll(concept[0], 1) * np.array([1, -1, 1, -1], np.float32)  # at a right angle
    embeddings = unit(np.stack([across, concept[0], -concept[0]]))
    vocabulary = TextVocabulary(texts=TEXTS, embeddings=embeddings, temperature=0.1)
    write_texts(folder / bundles.TEXTS, vocabulary)
    names = (bundles.MODEL, bundles.GOLDEN, bundles.TEXTS)
    hashes = {name: bundles.sha256(folder / name) for name in names}
    card = {**tiny.card.to_dict(), "hashes": hashes, "text_encoder": "made-up encoder"}
    (folder / bundles.CARD).write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def texts_client(
    bundle_with_texts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    gallery = tmp_path_factory.mktemp("galleries") / "gallery.sqlite"
    recognizer = ActionRecognizer.load(bundle_with_texts)
    settings = ServiceSettings(pose_workers=0, gallery=gallery)
    with TestClient(create_app(settings, recognizer)) as client:
        yield client


@pytest.fixture(scope="module")
def golden_body(bundle_with_texts: Path) -> dict[str, object]:
    sequence = bundles.load_bundle(bundle_with_texts).golden.sequence
    return {**body(), "joints": sequence.joints[:, 0].tolist()}


def test_texts_compete_by_the_networks_concept(
    texts_client: TestClient, golden_body: dict[str, object]
) -> None:
    query = {"labels": "TAKE A BOW, turn around"}
    answer = texts_client.post("/predict", params=query, json=golden_body).json()
    first, second = answer["actions"]
    assert (first["label"], second["label"]) == ("take a bow", "Turn around")
    assert first["score"] + second["score"] == pytest.approx(1)
    assert first["score"] > 0.9
    assert answer["recognised"]


def test_another_text_of_the_bundle_may_be_likelier(
    texts_client: TestClient, golden_body: dict[str, object]
) -> None:
    query = {"labels": "turn around,hop on one leg"}
    answer = texts_client.post("/predict", params=query, json=golden_body).json()
    assert {action["label"] for action in answer["actions"]} == {"Turn around", "hop on one leg"}
    assert not answer["recognised"]


def test_labels_alone_are_answered_by_the_classifier(texts_client: TestClient) -> None:
    labels = texts_client.get("/bundle").json()["labels"]
    plain = texts_client.post("/predict", json=body()).json()
    asked = texts_client.post("/predict", params={"labels": ",".join(labels)}, json=body()).json()
    names, likewise = ([a["label"] for a in x["actions"]] for x in (asked, plain))
    assert names == likewise
    # What competes is divided by its sum, which is 1 up to rounding.
    scores, expected = ([a["score"] for a in x["actions"]] for x in (asked, plain))
    assert scores == pytest.approx(expected, rel=1e-12)


def test_a_text_that_is_not_there_names_the_nearest(texts_client: TestClient) -> None:
    refused = texts_client.post("/predict", params={"labels": "take a bath"}, json=body())
    assert refused.status_code == 422
    detail = refused.json()["detail"]
    assert "'take a bath', which is not known: bundle tiny@1.0.0 carries 3 texts" in detail
    assert "nearest: 'take a bow'" in detail
    mixed = texts_client.post("/predict", params={"labels": "wave,take a bow"}, json=body())
    assert mixed.status_code == 422
    assert "labels outside them cannot be mixed with them" in mixed.json()["detail"]
