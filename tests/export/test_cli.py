"""``c2vl-export``: what is wrong is one sentence and exit status 1; what is right, a bundle."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the export extra is not installed")

from safetensors.torch import save_file  # noqa: E402

from c2vl_export import cli  # noqa: E402
from c2vl_export.half import to_half  # noqa: E402
from c2vl_serve import cli as serve_cli  # noqa: E402
from c2vl_serve.bundle import load_bundle  # noqa: E402
from c2vl_training.checkpoint import CHECKPOINT, write_checkpoint  # noqa: E402
from tests.export.made_checkpoint import tiny_checkpoint  # noqa: E402

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    write_checkpoint(path, tiny_checkpoint())
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``c2vl-export ARGUMENTS``; exit status, standard output and error."""

    def run(*arguments: object, main: Callable[[], None] = cli.main) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["c2vl-export", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_a_bundle_its_table_and_a_repository(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    out, models = tmp_path / "b", tmp_path / "models"
    status, said, err = run(checkpoint, "--out", out, "--fp16", "--triton", models)
    assert (status, err) == (0, "")
    assert "parity" in said
    assert f"wrote {out}" in said
    assert load_bundle(out).card.precision == "fp16"
    assert (models / "tiny" / "1" / "model.onnx").is_file()
    assert (models / "tiny" / "card" / "parity.json").is_file()
    status, said, _ = run("inspect", out, main=serve_cli.main)
    assert status == 0
    assert "parity" in said
    status, said, _ = run("inspect", out, "--json", main=serve_cli.main)
    assert len(json.loads(said)["parity"]["comparisons"]) == 2


def described(path: Path, content: str) -> Path:
    save_file({"w": torch.zeros(1)}, path, metadata={"format": CHECKPOINT.format, "c2vl": content})
    return path


def unknown_layout(path: Path, checkpoint: Path) -> Path:
    from safetensors import safe_open

    with safe_open(checkpoint, framework="pt") as file:
        values = json.loads(file.metadata()["c2vl"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    values["preprocessing"]["layout"] = "octopus8"
    save_file(weights, path, metadata={"format": CHECKPOINT.format, "c2vl": json.dumps(values)})
    return path


def test_what_is_wrong_is_one_sentence_and_leaves_nothing(
    run: Run, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_text("x")
    (tmp_path / "file").write_text("x")
    good, out = [checkpoint, "--out"], tmp_path / "b"
    cases = [
        ([tmp_path / "absent.safetensors", "--out", out], "cannot be read"),
        ([tmp_path / "file", "--out", out], "cannot be read"),
        ([described(tmp_path / "1", "{"), "--out", out], "does not describe a model"),
        ([described(tmp_path / "2", "{}"), "--out", out], "does not describe a model"),
        ([unknown_layout(tmp_path / "3", checkpoint), "--out", out], "octopus8"),
        ([*good, tmp_path / "photos"], "not ours to replace"),
        ([*good, tmp_path / "photos", "--force"], "not ours to replace"),
        ([*good, tmp_path / "file" / "b"], "cannot write"),
        ([*good, out, "--int8"], "int8 needs real clips"),
        ([*good, out, "--int8", "--fp16"], "int8 and fp16 were asked for together"),
        ([*good, out, "--bf16"], "onnxruntime does not take bf16"),
        ([*good, out, "--openvino", "--trt"], "openvino and tensorrt were asked for together"),
        ([*good, out, "--max-drop", "-1"], "max drop is -1.0 points"),
        ([*good, out, "--data", tmp_path / "nowhere"], "the checkpoint learned from set 'x'"),
    ]
    before = sorted(entry.name for entry in tmp_path.iterdir())
    for arguments, sentence in cases:
        status, said, err = run(*arguments)
        assert (status, said) == (1, ""), arguments
        assert err.startswith("error: "), arguments
        assert len(err.splitlines()) == 1, err
        assert sentence in err, err
        assert sorted(entry.name for entry in tmp_path.iterdir()) == before, arguments


def test_a_missing_extra_is_an_install_line(
    run: Run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'onnxscript.ir'", name="onnxscript.ir")

    monkeypatch.setattr("c2vl_export.package.write_onnx", lacking)
    status, _, err = run(checkpoint, "--out", tmp_path / "b")
    assert status == 1
    assert err == "error: onnxscript.ir is missing; run: pip install 'c2vl-serve[export]'\n"
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "openvino", None)
    status, _, err = run(checkpoint, "--out", tmp_path / "b", "--openvino")
    assert status == 1
    assert "pip install 'c2vl-serve[openvino]'" in err
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_answers_otherwise_is_never_written(
    run: Run, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    import onnx

    def damaged(model: onnx.ModelProto) -> onnx.ModelProto:
        half = to_half(model)
        for entry in half.graph.initializer:
            value = onnx.numpy_helper.to_array(entry)
            if value.dtype == np.float16 and value.ndim == 4:
                entry.CopyFrom(onnx.numpy_helper.from_array(-3 * value, entry.name))
        return half

    monkeypatch.setattr("c2vl_export.package.to_half", damaged)
    status, _, err = run(checkpoint, "--out", tmp_path / "b", "--fp16")
    assert status == 1
    assert "misses its golden logits" in err
    assert list(tmp_path.iterdir()) == []
