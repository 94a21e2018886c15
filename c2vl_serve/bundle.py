"""ModelBundle: what is served. A folder of files that travel together.

model.onnx    the network: model input -> logits, representation, and concept where it has texts
bundle.json   the card: preprocessing, labels, accuracy, calibration, licences, hashes
golden.npz    a raw sequence and the logits that every runtime must give for it
texts.npz     texts that may be asked for, with their embeddings, where it has any
gallery.npz   how enrolled actions are compared, where training measured it
parity.json   who was compared with whom at export, and how far they agree; for people to read
model.plan    the same network built by TensorRT for one kind of GPU, where it was asked for
"""

import hashlib
import json
import zipfile
from dataclasses import MISSING, asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_serve.errors import BundleError
from c2vl_serve.gallery_space import PLAIN, GallerySpace, read_gallery_space
from c2vl_serve.skeleton.arrays import Concept, Logits
from c2vl_serve.skeleton.layout import layout_by_name
from c2vl_serve.skeleton.preprocessing import PreprocessingConfig
from c2vl_serve.skeleton.sequence import SkeletonSequence
from c2vl_serve.texts import TextVocabulary, read_texts

SCHEMA_VERSION = 1
CARD, MODEL, GOLDEN = "bundle.json", "model.onnx", "golden.npz"
PARITY, PLAN, TEXTS, SPACE = "parity.json", "model.plan", "texts.npz", "gallery.npz"
OUTPUTS = ("logits", "representation")  # of every network
CONCEPT = "concept"  # the third, where the bundle has texts


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How logits become scores, and how far scores can be trusted.

    Attributes:
        temperature: logits are divided by it.
        expected_calibration_error: mean gap between score and accuracy on the test splits, 0..1.
        threshold: best scores below it mean "not recognised".
        fitted_on: which data chose temperature and threshold.
        known_accepted: share of known test clips that pass the threshold.
        unknown_rejected: share of clips of unknown actions that do not.
    """

    temperature: float
    expected_calibration_error: float
    threshold: float
    fitted_on: str
    known_accepted: float
    unknown_rejected: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleCard:
    """Everything that must be known to use the model, frozen at export.

    Attributes:
        name: such as ``everyday``.
        version: semantic version of the bundle.
        description: one or two sentences.
        labels: in logit order.
        label_sources: for each label the classes it was learned from, as ``set:class``.
        idle_label: the label for standing still, or None.
        preprocessing: the one that training used.
        accuracy: for each source set: protocol, number of test clips, top-1 in percent; where
            some are training clips as well, their number (copies) and top-1 without them.
        calibration: see :class:`Calibration`.
        training: recipe, seed, steps, pose source and units of the training data.
        licences: what each source set allows, and what follows for this bundle.
        num_parameters: of the network.
        gflop: multiply-adds times two for one window, in 10^9.
        tolerance: largest difference from the golden logits that a runtime may show.
        hashes: SHA-256 of the other files.
        precision: of the network's arithmetic: ``fp32``, ``fp16``, ``bf16`` or ``int8``.
        runtime: what the bundle was made for: ``onnxruntime``, ``openvino`` or ``tensorrt``.
        text_encoder: the sentence encoder that embedded the bundle's texts; None without any.
        schema_version: of this card.
    """

    name: str
    version: str
    description: str
    labels: tuple[str, ...]
    label_sources: dict[str, list[str]]
    idle_label: str | None
    preprocessing: PreprocessingConfig
    accuracy: dict[str, dict[str, Any]]
    calibration: Calibration
    training: dict[str, Any]
    licences: tuple[str, ...]
    num_parameters: int
    gflop: float
    tolerance: float
    hashes: dict[str, str]
    precision: str = "fp32"
    runtime: str = "onnxruntime"
    text_encoder: str | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def identity(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def idle(self) -> int | None:
        """Index of the idle label in the logits."""
        return None if self.idle_label is None else self.labels.index(self.idle_label)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, whole; the inverse of :meth:`from_dict`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **values,
            "labels": list(self.labels),
            "licences": list(self.licences),
            "preprocessing": self.preprocessing.to_dict(),
            "calibration": asdict(self.calibration),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BundleCard":
        """Read back a whole card; older cards say nothing of precision, runtime and texts.

        Raises:
            BundleError: for unknown or missing keys, or another schema version.
        """
        version = values.get("schema_version")
        if version != SCHEMA_VERSION:
            raise BundleError(
                f"bundle card has schema version {version}; this c2vl-serve reads "
                f"{SCHEMA_VERSION}; export the checkpoint again"
            )
        unknown = set(values) - {field.name for field in fields(cls)}
        lacking = {field.name for field in fields(cls) if field.default is MISSING} - set(values)
        if unknown or lacking:
            raise BundleError(
                f"bundle card has unknown keys {sorted(unknown)} and lacks {sorted(lacking)}; "
                "export the checkpoint again"
            )
        card = cls(
            **{
                **values,
                "labels": tuple(values["labels"]),
                "licences": tuple(values["licences"]),
                "preprocessing": PreprocessingConfig.from_dict(values["preprocessing"]),
                "calibration": Calibration(**values["calibration"]),
            }
        )
        if card.idle_label is not None and card.idle_label not in card.labels:
            raise BundleError(f"idle label {card.idle_label!r} is not among the bundle's labels")
        return card


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Golden:
    """A raw sequence, and what the network gives for its first window.

    Attributes:
        sequence: in any layout.
        logits: of the window.
        concept: of the window, of unit length; None in bundles without texts.
    """

    sequence: SkeletonSequence
    logits: Logits
    concept: Concept | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ModelBundle:
    """A bundle that was read and whose files match their hashes."""

    card: BundleCard
    golden: Golden
    path: Path
    texts: TextVocabulary | None = None
    gallery_space: GallerySpace = PLAIN

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what the network gives, in order."""
        return OUTPUTS if self.texts is None else (*OUTPUTS, CONCEPT)

    @property
    def model_path(self) -> Path:
        """Where ``model.onnx`` lies."""
        return self.path / MODEL

    @property
    def plan_path(self) -> Path:
        """Where ``model.plan`` lies in a bundle for TensorRT."""
        return self.path / PLAN


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bundle_path(name_or_path: str | Path) -> Path:
    """The folder of a bundle: one that ships with the package by name, or any by path.

    Raises:
        BundleError: when neither exists.
    """
    shipped = Path(str(resources.files("c2vl_serve"))) / "bundles"
    names = sorted(path.parent.name for path in shipped.glob(f"*/{CARD}"))
    if str(name_or_path) in names:
        return shipped / str(name_or_path)
    path = Path(name_or_path)
    if (path / CARD).is_file():
        return path
    raise BundleError(
        f"no bundle {str(name_or_path)!r}: it is neither a folder with {CARD} nor one of the "
        f"shipped bundles ({', '.join(names) or 'none'}); make one with c2vl-export"
    )


def load_bundle(name_or_path: str | Path = "everyday") -> ModelBundle:
    """Read a bundle and check its files against the card's hashes.

    Raises:
        BundleError: when a file is missing, damaged, or contradicts the card.
    """
    path = bundle_path(name_or_path)
    try:
        card = BundleCard.from_dict(json.loads((path / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleError(f"{path / CARD} is not a bundle card: {error}") from error
    for name in dict.fromkeys((MODEL, GOLDEN, *card.hashes)):
        if not (path / name).is_file():
            raise BundleError(f"bundle {card.identity} lacks {name} in {path}; export it again")
        found = sha256(path / name)
        if found != card.hashes.get(name):
            raise BundleError(
                f"{path / name} has SHA-256 {found[:12]}..., the card says "
                f"{str(card.hashes.get(name))[:12]}...; the file was changed or cut short: "
                "export or copy the bundle again"
            )
    golden = _read_golden(path / GOLDEN)
    texts = read_texts(path / TEXTS) if TEXTS in card.hashes else None
    _check_texts(card, golden, texts)
    space = read_gallery_space(path / SPACE) if SPACE in card.hashes else PLAIN
    return ModelBundle(card=card, golden=golden, path=path, texts=texts, gallery_space=space)


def _check_texts(card: BundleCard, golden: Golden, texts: TextVocabulary | None) -> None:
    """All three know of texts, or none."""
    width = None if texts is None else texts.embeddings.shape[1]
    golden_width = None if golden.concept is None else golden.concept.shape[1]
    if width != golden_width or (texts is None) != (card.text_encoder is None):
        raise BundleError(
            f"bundle {card.identity} has texts of width {width}, a golden concept of width "
            f"{golden_width} and the text encoder {card.text_encoder!r}; expected all or none, "
            "of one width: export it again"
        )


def write_golden(path: Path, golden: Golden) -> None:
    """Write ``golden.npz``."""
    sequence = golden.sequence
    arrays: dict[str, Any] = {
        "joints": sequence.joints,
        "visibility": sequence.visibility,
        "fps": np.float64(sequence.fps),
        "layout": np.str_(sequence.layout.name),
        "logits": golden.logits,
    }
    if golden.concept is not None:
        arrays[CONCEPT] = golden.concept
    np.savez(path, **arrays)


def _read_golden(path: Path) -> Golden:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Golden(
                sequence=SkeletonSequence(
                    joints=arrays["joints"],
                    visibility=arrays["visibility"],
                    fps=float(arrays["fps"]),
                    layout=layout_by_name(str(arrays["layout"])),
                ),
                logits=arrays["logits"],
                concept=arrays.get(CONCEPT),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} is not a golden sample: {error}") from error
