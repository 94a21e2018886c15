"""Sentences of a set in one JSON-lines file, from `describe` to `embed`; may be cut off any time.

The first line says how they were made; each other line is one sample. A line that was being
written when the process died has no end and is forgotten, so that its sample is made again.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from c2vl_serve.errors import C2VLError
from c2vl_training.data.readers.recording import Tag

FORMAT = "c2vl-sentences-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What is said about a sample.

    Attributes:
        sample_id: the recording's; a key, never text to learn from.
        class_name: for `inspect` to measure with; no label-free source reads it.
        subject: likewise.
        sentences: at least one, or none where ``skipped`` says why.
        skipped: why there is nothing to say.
    """

    sample_id: str
    class_name: str
    subject: Tag = None
    sentences: tuple[str, ...] = ()
    skipped: str | None = None

    def __post_init__(self) -> None:
        """Refuse an answer that says nothing."""
        if self.skipped is None and not (self.sentences and all(s.strip() for s in self.sentences)):
            raise C2VLError(
                f"sample {self.sample_id!r} got the sentences {self.sentences}; expected at least "
                "one and none of them empty; ask another model or prompt"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Descriptions:
    """A whole file of sentences.

    Attributes:
        made_with: source and settings.
        samples: those with sentences, in the order of the file.
        skipped: why a sample has none, by sample id.
    """

    made_with: dict[str, Any]
    samples: tuple[Description, ...]
    skipped: dict[str, str]


def read_descriptions(path: Path) -> Descriptions:
    """Read all whole lines of a file of sentences.

    Raises:
        C2VLError: when the file is missing, of another kind, or damaged before its last line.
    """
    made_with, lines = _whole_lines(path)
    samples = [_description(path, number, line) for number, line in lines]
    return Descriptions(
        made_with=made_with,
        samples=tuple(sample for sample in samples if sample.skipped is None),
        skipped={s.sample_id: s.skipped for s in samples if s.skipped is not None},
    )


class DescriptionFile:
    """A file of sentences that grows.

    Args:
        path: where; its folder is made.
        made_with: source and settings; a file made with others is refused.

    Raises:
        C2VLError: naming what differs.
    """

    def __init__(self, path: Path, made_with: dict[str, Any]) -> None:
        self.done: set[str] = set()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and b"\n" in path.read_bytes():
            self._resume(path, made_with)
        else:
            header = {"format": FORMAT, "made_with": made_with}
            path.write_text(json.dumps(header) + "\n", encoding="utf-8")
        self._file = path.open("ab")

    def _resume(self, path: Path, made_with: dict[str, Any]) -> None:
        had, lines = _whole_lines(path)
        differ = sorted(k for k in had | made_with if had.get(k) != made_with.get(k))
        if differ:
            said = ", ".join(
                f"{k}={had.get(k)!r:.80} (asked: {made_with.get(k)!r:.80})" for k in differ
            )
            raise C2VLError(
                f"sentences {path} were made with {said}; choose another file, or delete it"
            )
        self.done = {_description(path, number, line).sample_id for number, line in lines}
        content = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)

    def append(self, description: Description) -> None:
        """Add one sample; it is kept from now on."""
        self._file.write(json.dumps(asdict(description)).encode() + b"\n")
        self._file.flush()
        self.done.add(description.sample_id)

    def close(self) -> None:
        """Leave the file to be read or gone on with."""
        self._file.close()


def _whole_lines(path: Path) -> tuple[dict[str, Any], Iterator[tuple[int, bytes]]]:
    """The first line's settings, and the other lines that have an end, with their numbers."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
        header = json.loads(lines[0])
    except (OSError, ValueError, IndexError) as error:
        raise C2VLError(
            f"sentences {path} cannot be read: {error}; make them with "
            "`c2vl-train knowledge describe`"
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise C2VLError(f"{path} does not begin with format {FORMAT!r}; is it another file?")
    return header["made_with"], ((number, line) for number, line in enumerate(lines[1:], start=2))


def _description(path: Path, number: int, line: bytes) -> Description:
    try:
        values = json.loads(line)
        return Description(**{**values, "sentences": tuple(values["sentences"])})
    except (ValueError, TypeError, KeyError) as error:
        raise C2VLError(f"sentences {path}, line {number} cannot be read: {error}") from error
