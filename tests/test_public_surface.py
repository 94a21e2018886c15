"""What ``import c2vl_serve`` gives, and what it must not drag in."""

import subprocess
import sys

import c2vl_serve


def test_the_surface_is_exactly_this() -> None:
    assert sorted(c2vl_serve.__all__) == [
        "ActionRecognizer", "ActionScore", "AsyncClient", "BundleError", "C2VLError", "Client",
        "ClientError", "LAYOUTS", "ModelBundle", "PersonAnswer", "Recognition",
        "RuntimeUnavailable", "SequenceError", "ServiceBusy", "ServiceProblem",
        "ServiceUnreachable", "SkeletonLayout", "SkeletonSequence", "WindowAnswer",
        "layout_from_json", "load_bundle",
    ]  # fmt: skip
    assert all(hasattr(c2vl_serve, name) for name in c2vl_serve.__all__)


def test_importing_it_loads_neither_torch_nor_the_service() -> None:
    code = (
        "import sys, c2vl_serve;"
        "heavy = {'torch', 'fastapi', 'mediapipe', 'av', 'onnxruntime', 'rich', 'httpx2',"
        "'pydantic'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
