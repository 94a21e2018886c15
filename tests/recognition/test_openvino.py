"""OpenVINO gives ONNX Runtime's answers, in the arithmetic that the card asks for."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from c2vl_serve.bundle import ModelBundle, load_bundle
from c2vl_serve.errors import BundleError, RuntimeUnavailable
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime
from c2vl_serve.recognition.openvino_runtime import OpenVinoRuntime
from c2vl_serve.recognition.runtime import verify
from c2vl_serve.recognition.runtimes import load_runtime
from c2vl_serve.skeleton.arrays import ModelInput


@pytest.fixture(scope="module")
def everyday() -> ModelBundle:
    pytest.importorskip("openvino", reason="the openvino extra is not installed")
    bundle = load_bundle("everyday")
    return replace(bundle, card=replace(bundle.card, runtime="openvino"))


def windows(bundle: ModelBundle, batch: int) -> ModelInput:
    config = bundle.card.preprocessing
    shape = (batch, config.num_channels, config.num_frames, config.num_joints, 1)
    x = np.random.default_rng(batch).normal(size=shape).astype(np.float32)
    x[:, -1] = 1
    return x


@pytest.mark.parametrize("batch", [1, 5, 16, 70])
def test_openvino_is_onnx_runtime(everyday: ModelBundle, batch: int) -> None:
    x = windows(everyday, batch)
    runtime = OpenVinoRuntime(everyday)
    for ours, theirs in zip(runtime.run(x), OnnxRuntime(everyday).run(x), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert runtime.name == "openvino/CPU-f32"


def test_the_card_chooses_it(everyday: ModelBundle) -> None:
    runtime = load_runtime(everyday)
    assert isinstance(runtime, OpenVinoRuntime)
    assert verify(runtime, everyday) < 1e-3


def test_answers_of_many_threads_are_those_of_one(everyday: ModelBundle) -> None:
    runtime = OpenVinoRuntime(everyday)
    inputs = [windows(everyday, batch) for batch in (1, 2, 3, 4) * 4]
    alone = [runtime.run(x)[0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: runtime.run(x)[0], inputs))
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_bfloat16_where_the_processor_has_it(everyday: ModelBundle) -> None:
    import openvino

    coarse = replace(everyday, card=replace(everyday.card, precision="bf16", tolerance=0.5))
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        runtime = OpenVinoRuntime(coarse)
        assert runtime.name == "openvino/CPU-bf16"
        assert 0 < verify(runtime, coarse) < 0.5
    else:
        with pytest.raises(RuntimeUnavailable, match="this processor does not have"):
            OpenVinoRuntime(coarse)


def test_a_missing_openvino_is_an_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeUnavailable, match=r"pip install 'c2vl-serve\[openvino\]'"):
        OpenVinoRuntime(load_bundle("everyday"))


def test_a_runtime_that_is_not_known() -> None:
    bundle = load_bundle("everyday")
    strange = replace(bundle, card=replace(bundle.card, runtime="abacus"))
    with pytest.raises(BundleError, match="made for runtime 'abacus'; known are onnxruntime"):
        load_runtime(strange)
