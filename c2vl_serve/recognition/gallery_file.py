"""A gallery as a JSON file, to be carried from one service to another of the same encoder."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from jaxtyping import Float32

from c2vl_serve.bundle import MODEL, ModelBundle
from c2vl_serve.errors import BundleError, GalleryError
from c2vl_serve.recognition.gallery import Gallery

FORMAT = "c2vl-gallery-file-1"
UNIT = 1e-3  # how far the length of an embedding may be from 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The encoder that made a gallery's embeddings: those of another mean something else.

    Attributes:
        bundle: ``name@version``.
        model: SHA-256 of the network.
    """

    bundle: str
    model: str

    @classmethod
    def of(cls, bundle: ModelBundle) -> "Origin":
        """The origin of what this bundle embeds."""
        return cls(bundle=bundle.card.identity, model=bundle.card.hashes[MODEL])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Origin":
        """Read back; what is missing is empty, and fits nothing."""
        return cls(bundle=str(values.get("bundle", "")), model=str(values.get("model", "")))

    def to_dict(self) -> dict[str, str]:
        """JSON-able; the inverse of :meth:`from_dict`."""
        return {"bundle": self.bundle, "model": self.model}

    def check(self, other: "Origin", what: str) -> None:
        """Refuse embeddings of another encoder.

        Args:
            other: where they come from.
            what: holds them, for the message.

        Raises:
            BundleError: naming both encoders, and what to do.
        """
        if other != self:
            raise BundleError(
                f"{what} was enrolled with {other.bundle or 'no bundle'} (network "
                f"{other.model[:12] or 'unknown'}...), but {self.bundle} (network "
                f"{self.model[:12]}...) is served; embeddings of another network mean something "
                "else: serve that bundle, or choose another gallery and enrol the examples again"
            )


def to_file(gallery: Gallery, origin: Origin) -> bytes:
    """The gallery as JSON; embeddings are base64 of little-endian float32."""
    actions = [
        {
            "name": action.name,
            "examples": [
                base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
                for vector in action.examples
            ],
        }
        for action in gallery.actions.values()
    ]
    content = {"format": FORMAT, **origin.to_dict(), "actions": actions}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def from_file(data: bytes, origin: Origin, width: int) -> dict[str, Float32[np.ndarray, "E D"]]:
    """The examples in a file, by action.

    Args:
        data: as :func:`to_file` writes it.
        origin: that the file must have.
        width: numbers in one embedding.

    Raises:
        GalleryError: when it is no such file, or holds embeddings that cannot be.
        BundleError: when it is of another encoder.
    """
    try:
        content = orjson.loads(data)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {str(content['format'])[:40]!r}")
        origin.check(Origin.from_dict(content), "the file")
        return {
            str(entry["name"]): np.stack([_vector(each, width) for each in entry["examples"]])
            for entry in content["actions"]
        }
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise GalleryError(
            f"this is no gallery file: {error}; expected {FORMAT!r}, as `c2vl-serve gallery "
            "export` and GET /gallery/export write it"
        ) from error


def _vector(text: str, width: int) -> Float32[np.ndarray, " D"]:
    vector = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    if len(vector) != width or not abs(float(np.linalg.norm(vector)) - 1) <= UNIT:
        raise ValueError(
            f"an embedding has {len(vector)} numbers and length {np.linalg.norm(vector):.3g}, "
            f"expected {width} and 1"
        )
    return vector
