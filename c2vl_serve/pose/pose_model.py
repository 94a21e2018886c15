"""Put MediaPipe's pose model into a cache folder once; never called while a request waits.

No wheel of MediaPipe >= 1.0 carries a model. It comes from the official address, or, where only a
package index can be reached, out of an old wheel whose two networks are the official ones.
"""

import hashlib
import http.client
import importlib.util
import io
import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose.tflite_metadata import add_normalisation

logger = logging.getLogger(__name__)

POSE_MODEL_NAME = "pose_landmarker_full.task"
OFFICIAL_URL = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/pose_landmarker_full/"
    f"float16/1/{POSE_MODEL_NAME}"
)
OFFICIAL_SHA256 = "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1"
ASSEMBLED_SHA256 = "d76151ca6efac3ca6bb85e209556fa41beabd41affcc02bcb8203a7b8a0ada95"

_WHEEL = "mediapipe==0.10.21"
# One wheel for every machine: only its data is used, so its platform does not matter.
_WHEEL_TAGS = ("--python-version=3.11", "--implementation=cp", "--abi=cp311")
_WHEEL_PLATFORM = "--platform=manylinux_2_28_x86_64"
_DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"
_DETECTOR_SHA256 = "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
_LANDMARKS = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
_LANDMARKS_SHA256 = "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"

_ADDRESS_SECONDS = 10.0  # for the official address to answer
_PIP_SECONDS = 300
_MAX_BYTES = 32 * 1024**2
_ALIGNMENT = 64  # bytes; networks are mapped, not copied, where their tensors are aligned
_PADDING_ID = 0xD935  # the zip extra field that exists for alignment

Report = Callable[[str], None]


def default_pose_model() -> Path:
    """Where the pose model is kept if nothing else is said: the user's cache folder."""
    home = Path.home()
    if sys.platform == "win32":
        cache = home / "AppData" / "Local"
    elif sys.platform == "darwin":
        cache = home / "Library" / "Caches"
    else:
        cache = home / ".cache"
    return cache / "c2vl-serve" / POSE_MODEL_NAME


def find_pose_model(path: Path | None = None) -> Path:
    """The pose model's file, which must be there already.

    Args:
        path: a `.task` file of one's own choice, or None for :func:`default_pose_model`.

    Raises:
        RuntimeUnavailable: it is not there, or (in the cache) not one of the known files.
    """
    model = path or default_pose_model()
    if not model.is_file():
        raise RuntimeUnavailable(
            f"there is no pose model at {model}; run: c2vl-serve fetch-pose-model"
        )
    if path is None and not _is_known(model.read_bytes()):
        raise RuntimeUnavailable(
            f"the pose model at {model} is damaged (unknown SHA-256); "
            "run: c2vl-serve fetch-pose-model"
        )
    return model


def fetch_pose_model(path: Path | None = None, *, report: Report | None = None) -> Path:
    """Make sure that the pose model is at ``path``; fetch it where it is not.

    Args:
        path: the file to write, or None for :func:`default_pose_model`.
        report: called with a sentence before each step.

    Raises:
        RuntimeUnavailable: neither the official address nor the package index gave it.
    """
    target = path or default_pose_model()
    say = report or logger.info
    if target.is_file() and _is_known(target.read_bytes()):
        say(f"the pose model is already at {target}")
        return target
    try:
        say(f"downloading {OFFICIAL_URL}")
        content = _download()
    except (OSError, http.client.HTTPException, ValueError) as error:
        say(f"that did not work ({error}); assembling it from the wheel {_WHEEL}")
        content = _from_package_index()
    _write(target, content)
    say(f"wrote {target}")
    return target


def assemble_pose_model(wheel: Path) -> bytes:
    """The pose model, byte for byte the same each time, from the wheel `mediapipe==0.10.21`.

    Raises:
        RuntimeUnavailable: the wheel does not hold the official networks.
    """
    with zipfile.ZipFile(wheel) as members:
        detector = _member(members, _DETECTOR, _DETECTOR_SHA256)
        landmarks = _member(members, _LANDMARKS, _LANDMARKS_SHA256)
    # The detector tells how its input is scaled, (pixel - 127.5) / 127.5; the other must learn to.
    landmarks = add_normalisation(landmarks, mean=0.0, std=255.0)
    bundle = _bundle(
        {"pose_detector.tflite": detector, "pose_landmarks_detector.tflite": landmarks}
    )
    if _sha256(bundle) != ASSEMBLED_SHA256:
        raise RuntimeUnavailable(
            f"the assembled pose model has SHA-256 {_sha256(bundle)}, expected "
            f"{ASSEMBLED_SHA256}; this is a fault of c2vl-serve, please report it"
        )
    return bundle


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_known(content: bytes) -> bool:
    return _sha256(content) in (OFFICIAL_SHA256, ASSEMBLED_SHA256)


def _download() -> bytes:
    with urllib.request.urlopen(OFFICIAL_URL, timeout=_ADDRESS_SECONDS) as answer:
        content = bytes(answer.read(_MAX_BYTES))
    if _sha256(content) != OFFICIAL_SHA256:
        raise ValueError(f"got a file with SHA-256 {_sha256(content)}, expected {OFFICIAL_SHA256}")
    return content


def _from_package_index() -> bytes:
    if importlib.util.find_spec("pip") is None:
        raise RuntimeUnavailable(
            "the pose model cannot be fetched: the official address did not answer and pip is "
            f"not installed; install pip, or put {POSE_MODEL_NAME} in place yourself "
            f"(from {OFFICIAL_URL})"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", _WHEEL, "--no-deps", "--quiet"]
        command += ["--only-binary=:all:", *_WHEEL_TAGS, _WHEEL_PLATFORM, "--dest", folder]
        command += ["--disable-pip-version-check", "--no-input"]
        try:
            subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=_PIP_SECONDS
            )
        except (subprocess.SubprocessError, OSError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
            raise RuntimeUnavailable(
                f"the pose model cannot be fetched: {OFFICIAL_URL} did not answer and pip could "
                f"not download {_WHEEL} ({said}); check the network, or put {POSE_MODEL_NAME} in "
                "place yourself"
            ) from error
        return assemble_pose_model(next(Path(folder).glob("*.whl")))


def _member(members: zipfile.ZipFile, name: str, sha256: str) -> bytes:
    try:
        content = members.read(name)
    except KeyError as error:
        raise RuntimeUnavailable(
            f"wheel {members.filename} has no {name}; expected the wheel {_WHEEL}"
        ) from error
    if _sha256(content) != sha256:
        raise RuntimeUnavailable(
            f"{name} in {members.filename} has SHA-256 {_sha256(content)}, expected {sha256}; "
            f"it is not the official network, get {_WHEEL} from a package index you trust"
        )
    return content


def _bundle(members: dict[str, bytes]) -> bytes:
    """A zip file of uncompressed, aligned members without times or owners."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as bundle:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 0  # else it tells the operating system
            start = out.tell() + 30 + len(name.encode()) + 4  # local header, name, extra header
            padding = -start % _ALIGNMENT
            info.extra = _PADDING_ID.to_bytes(2, "little") + padding.to_bytes(2, "little")
            info.extra += bytes(padding)
            bundle.writestr(info, content)
    return out.getvalue()


def _write(target: Path, content: bytes) -> None:
    """Beside, then in place: a reader sees the whole file or none."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=target.parent, prefix=target.name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(beside, 0o644)
            os.replace(beside, target)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise RuntimeUnavailable(
            f"the pose model cannot be written to {target}: {error.strerror}; "
            "choose a folder that can be written with C2VL_POSE_MODEL"
        ) from error
