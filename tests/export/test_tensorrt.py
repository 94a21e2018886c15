"""TensorRT: what is asked of it, what is kept, and what is said where it is missing.

No GPU and no TensorRT is needed: stand-ins answer as the documentation says they would.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the export extra is not installed")

import onnx

from c2vl_export.options import MIB, ExportOptions, TensorRtOptions
from c2vl_export.package import write_bundle
from c2vl_export.tensorrt import build_plan, plan_key
from c2vl_serve.bundle import load_bundle
from c2vl_serve.errors import BundleError, C2VLError, RuntimeUnavailable
from c2vl_serve.recognition import tensorrt_api
from c2vl_serve.recognition.onnx_runtime import OnnxRuntime
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.tensorrt_api import Target
from c2vl_serve.recognition.tensorrt_runtime import TensorRtRuntime
from tests.export import stand_in_tensorrt
from tests.export.made_checkpoint import tiny_checkpoint
from tests.export.stand_in_tensorrt import Record

BATCHES = TensorRtOptions(min_batch=2, opt_batch=4, max_batch=8, workspace=64 * MIB)


def install(monkeypatch: pytest.MonkeyPatch, version: str = stand_in_tensorrt.VERSION) -> Record:
    record = Record()
    monkeypatch.setitem(
        sys.modules, "tensorrt", stand_in_tensorrt.tensorrt(record, version=version)
    )
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", stand_in_tensorrt.cuda(record))
    monkeypatch.setattr(tensorrt_api, "_has_gpu", lambda: True)
    monkeypatch.setattr(tensorrt_api, "_has_driver", lambda: True)
    return record


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    return install(monkeypatch)


@pytest.fixture(scope="module")
def plan_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trt")
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(monkeypatch)
        options = ExportOptions(
            runtime="tensorrt", precision="fp16", tensorrt=replace(BATCHES, cache=folder / "cache")
        )
        write_bundle(tiny_checkpoint(), folder / "tiny", options)
    return folder / "tiny"


def small_network() -> onnx.ModelProto:
    value, make = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [make("Relu", ["skeletons"], ["logits"], name="r")], "small",
        [value("skeletons", 1, ["N", 3, 5])], [value("logits", 1, ["N", 3, 5])],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])


def test_what_is_asked_of_the_builder(record: Record, tmp_path: Path) -> None:
    build_plan(small_network(), replace(BATCHES, cache=tmp_path))
    assert record.profiles == [("skeletons", (2, 3, 5), (4, 3, 5), (8, 3, 5))]
    assert record.workspaces == [64 * MIB]
    assert record.flags == [2]  # 1 << STRONGLY_TYPED


def test_tensorrt_11_is_strongly_typed_without_being_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = install(monkeypatch, "11.4.0")
    build_plan(small_network(), replace(BATCHES, cache=tmp_path))
    assert record.flags == [0]


def test_a_plan_is_built_once_for_one_machine(record: Record, tmp_path: Path) -> None:
    options = replace(BATCHES, cache=tmp_path)
    first = build_plan(small_network(), options)
    assert build_plan(small_network(), options) == first
    assert record.builds == 1
    build_plan(small_network(), replace(options, max_batch=16))
    assert record.builds == 2
    assert record.timings == [b"", b"timed;"]  # the second build knows the first one's timings
    record.gpu = "NVIDIA L4"
    build_plan(small_network(), options)
    assert record.builds == 3
    assert record.timings[-1] == b""  # another GPU's timings are of no use
    assert not [file for file in tmp_path.iterdir() if file.suffix not in (".plan", ".cache")]


def test_everything_that_matters_is_in_the_key() -> None:
    target = Target(gpu="H200", driver="CUDA 13.2", tensorrt="10.16.0")
    keys = {
        plan_key(b"model", BATCHES, target),
        plan_key(b"other", BATCHES, target),
        plan_key(b"model", replace(BATCHES, opt_batch=5), target),
        plan_key(b"model", replace(BATCHES, workspace=1), target),
        *(
            plan_key(b"model", BATCHES, replace(target, **{field: "x"}))
            for field in ("gpu", "driver", "tensorrt")
        ),
    }
    assert len(keys) == 7
    assert plan_key(b"model", replace(BATCHES, cache=Path("/else")), target) in keys


def test_what_tensorrt_refuses_is_said(record: Record, tmp_path: Path) -> None:
    options = replace(BATCHES, cache=tmp_path)
    record.parses = False
    with pytest.raises(RuntimeUnavailable, match="cannot parse the network: error 0: node of an"):
        build_plan(small_network(), options)
    record.parses, record.builds_plan = True, False
    with pytest.raises(RuntimeUnavailable, match="could not build a plan with 64 MiB.*--workspace"):
        build_plan(small_network(), options)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(record: Record, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="cannot be written: .*--engine-cache"):
        build_plan(small_network(), replace(BATCHES, cache=tmp_path / "file" / "cache"))


def test_the_bundle_holds_plan_and_network(plan_bundle: Path) -> None:
    bundle = load_bundle(plan_bundle)
    assert (bundle.card.runtime, bundle.card.precision) == ("tensorrt", "fp16")
    assert bundle.card.hashes.keys() == {"model.onnx", "golden.npz", "model.plan", "parity.json"}
    assert OnnxRuntime(bundle).name.startswith("onnxruntime/")


def test_a_plan_answers_as_its_network(record: Record, plan_bundle: Path) -> None:
    bundle = load_bundle(plan_bundle)
    runtime, reference = TensorRtRuntime(bundle), OnnxRuntime(bundle)
    preprocessing = bundle.card.preprocessing
    shape = (19, preprocessing.num_channels, preprocessing.num_frames, 15, 1)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x[:, -1] = 1
    for ours, theirs in zip(runtime.run(x), reference.run(x), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert record.batches == [8, 8, 3]
    logits, _ = runtime.run(x[:1])  # fewer than the plan takes: filled up, and cut again
    assert logits.shape == (1, 3)
    assert record.batches[-1] == 2
    np.testing.assert_allclose(logits, reference.run(x[:1])[0], atol=1e-3)


def test_memory_goes_back_to_the_gpu(record: Record, plan_bundle: Path) -> None:
    engine = tensorrt_api.Engine(load_bundle(plan_bundle).plan_path.read_bytes())
    assert len(record.memory) == 3
    engine.close()
    assert record.memory == {}


def test_a_recogniser_takes_the_runtime_of_the_card(record: Record, plan_bundle: Path) -> None:
    assert ActionRecognizer.load(plan_bundle).runtime.name == "tensorrt/fp16"


def test_a_plan_for_another_gpu_is_refused(record: Record, plan_bundle: Path) -> None:
    record.loads = False
    with pytest.raises(RuntimeUnavailable, match=r"this GPU \(NVIDIA H200\) cannot load the plan"):
        TensorRtRuntime(load_bundle(plan_bundle))


def test_a_bundle_without_a_plan_is_refused(record: Record) -> None:
    with pytest.raises(BundleError, match=r"has no model\.plan in .*export it with --trt"):
        TensorRtRuntime(load_bundle("everyday"))


def test_cuda_errors_are_said(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["cuda.bindings.runtime"]
    monkeypatch.setattr(module, "cudaGetDeviceProperties", lambda index: (2, None))
    with pytest.raises(RuntimeUnavailable, match="CUDA failed with 2; check the GPU"):
        tensorrt_api.target()


@pytest.mark.parametrize(
    ("gpu", "driver", "library", "said", "unsaid"),
    [
        (False, True, True, "no NVIDIA GPU", "driver"),
        (True, False, True, "no NVIDIA driver", "GPU is in"),
        (True, True, False, "the library is not installed", "driver"),
        (False, False, False, "GPU.*driver.*library", "nothing"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    gpu: bool,
    driver: bool,
    library: bool,
    said: str,
    unsaid: str,
) -> None:
    install(monkeypatch)
    monkeypatch.setattr(tensorrt_api, "_has_gpu", lambda: gpu)
    monkeypatch.setattr(tensorrt_api, "_has_driver", lambda: driver)
    if not library:
        monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(RuntimeUnavailable, match=said) as caught:
        write_bundle(tiny_checkpoint(), tmp_path / "b", ExportOptions(runtime="tensorrt"))
    assert unsaid not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_is_found_by_its_vendor_or_its_board(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensorrt_api, "PCI_DEVICES", tmp_path / "pci")
    monkeypatch.setattr(tensorrt_api, "DEVICE_TREE", tmp_path / "compatible")
    (tmp_path / "pci" / "0000:00:01.0").mkdir(parents=True)
    (tmp_path / "pci" / "0000:00:01.0" / "vendor").write_text("0x8086\n")
    assert not tensorrt_api._has_gpu()
    (tmp_path / "compatible").write_bytes(b"nvidia,p3768\0nvidia,tegra234\0")
    assert tensorrt_api._has_gpu()
    (tmp_path / "compatible").unlink()
    (tmp_path / "pci" / "0000:00:01.0" / "vendor").write_text("0x10de\n")
    assert tensorrt_api._has_gpu()


def test_batches_out_of_order_are_refused() -> None:
    with pytest.raises(C2VLError, match="batches are 1, 9, 8; expected 1 <= --min-batch"):
        TensorRtOptions(opt_batch=9, max_batch=8)
    with pytest.raises(C2VLError, match="workspace is 0 MiB"):
        TensorRtOptions(workspace=0)
