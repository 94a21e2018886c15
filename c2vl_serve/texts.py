"""TextVocabulary: the texts that a bundle can be asked for, as ``texts.npz`` keeps them.

The embeddings were made at export by a sentence encoder, so that serving needs none: a text can be
asked for only if it is here.
"""

import difflib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from c2vl_serve.errors import BundleError

UNIT = 1e-3  # how far the length of an embedding may be from 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TextVocabulary:
    """Texts with their embeddings in the space of the network's output ``concept``.

    Attributes:
        texts: all different, none empty; without commas, which separate texts in a question.
        embeddings: of unit length, one a text.
        temperature: cosines are divided by it before the softmax.
    """

    texts: tuple[str, ...]
    embeddings: Float32[np.ndarray, "K E"]
    temperature: float

    def __post_init__(self) -> None:
        """Refuse what could not be asked for.

        Raises:
            BundleError: saying what is wrong.
        """
        K = len(self.texts)
        if K == 0 or len(self.embeddings) != K:
            raise _wrong(f"{K} texts with {len(self.embeddings)} embeddings", "as many of each")
        odd = [text for text in self.texts if "," in text or not text or text != text.strip()]
        if odd:
            raise _wrong(f"the text {odd[0]!r}", "texts with neither commas nor spaces around them")
        if len({text.casefold() for text in self.texts}) < K:
            raise _wrong("a text more than once", "each text once, whatever its case")
        lengths = np.linalg.norm(self.embeddings, axis=1)
        if not (np.abs(lengths - 1) <= UNIT).all():
            raise _wrong(
                f"embeddings of length {lengths.min():.3g} to {lengths.max():.3g}", "length 1"
            )
        if not 0 < self.temperature < np.inf:
            raise _wrong(f"the temperature {self.temperature}", "more than 0")

    def find(self, text: str) -> int | None:
        """The place of a text, whatever its case; None where it is not here."""
        folded = text.casefold()
        places = (k for k, known in enumerate(self.texts) if known.casefold() == folded)
        return next(places, None)


def nearest(text: str, known: tuple[str, ...], count: int = 5) -> tuple[str, ...]:
    """The known texts that are spelt most like ``text``, the most alike first."""
    by_fold = {each.casefold(): each for each in known}
    folds = difflib.get_close_matches(text.casefold(), by_fold, n=count, cutoff=0)
    return tuple(by_fold[fold] for fold in folds)


def write_texts(path: Path, vocabulary: TextVocabulary) -> None:
    """Write ``texts.npz``."""
    np.savez(
        path,
        texts=np.array(vocabulary.texts),
        embeddings=vocabulary.embeddings,
        temperature=np.float64(vocabulary.temperature),
    )


def read_texts(path: Path) -> TextVocabulary:
    """Read ``texts.npz``.

    Raises:
        BundleError: when it is not such a file, or its texts cannot be asked for.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return TextVocabulary(
                texts=tuple(str(text) for text in arrays["texts"]),
                embeddings=arrays["embeddings"].astype(np.float32),
                temperature=float(arrays["temperature"]),
            )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} holds no texts: {error}; export the bundle again") from error


def _wrong(got: str, expected: str) -> BundleError:
    return BundleError(
        f"the bundle's texts have {got}; expected {expected}: correct the checkpoint's texts and "
        "export it again"
    )
