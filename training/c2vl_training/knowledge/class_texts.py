"""Texts about classes, such as those of GAP: supervision, and reported in a column of its own.

Files as Xiang et al. (ICCV 2023) publish them, one class a line, the class's name first:

    drink water;head tilts back slightly; hand grasps cup; ...     parts (pasta), ``;``
    drink water,The man is drinking water from a glass. He ...     sentences, ``,``
    drink water,sip, guzzle, gulp                                  synonyms, ``,``

They are written by a language model for the class, never for a clip, and some lines are wrong.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from c2vl_serve.errors import C2VLError

MIN_WORDS = 2  # fewer are a leftover of cutting


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassTexts:
    """Sentences by class name.

    Attributes:
        sentences: at least one a class; names in lower case.
        files: where they are from, for the record.
    """

    sentences: dict[str, tuple[str, ...]]
    files: tuple[str, ...]

    def of(self, class_name: str) -> tuple[str, ...]:
        """The sentences of a class.

        Raises:
            C2VLError: naming some of the classes that there are texts for.
        """
        found = self.sentences.get(_key(class_name))
        if found is None:
            raise C2VLError(
                f"no text about class {class_name!r} in {', '.join(self.files)}; they tell of "
                f"{len(self.sentences)} classes such as {', '.join(sorted(self.sentences)[:5])}; "
                "add a line for it, or describe with class names alone"
            )
        return found


def read_class_texts(*paths: Path) -> ClassTexts:
    """Join several files; a class has the sentences of all of them, in their order.

    Raises:
        C2VLError: when a file cannot be read, or a line has a class and no text.
    """
    sentences: dict[str, tuple[str, ...]] = {}
    for path in paths:
        for class_name, said in _rows(path):
            known = sentences.get(_key(class_name), ())
            sentences[_key(class_name)] = tuple(dict.fromkeys([*known, *said]))
    return ClassTexts(sentences=sentences, files=tuple(path.name for path in paths))


def names_as_texts(class_names: tuple[str, ...]) -> ClassTexts:
    """The class names themselves as sentences, for sets that nothing was written about."""
    return ClassTexts(
        sentences={_key(name): (f"A person is doing this: {name}.",) for name in class_names},
        files=("class names",),
    )


def _rows(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise C2VLError(f"class texts {path} cannot be read: {error}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        class_name, said = _parsed(line)
        if not said:
            raise C2VLError(
                f"class texts {path}, line {number}: {line[:60]!r} has no text; expected the "
                "class's name, then ';' or ',' and what is said about it"
            )
        rows.append((class_name, said))
    return rows


def _parsed(line: str) -> tuple[str, tuple[str, ...]]:
    """The class and its sentences; what stands first, ``;`` or ``,``, says of which kind it is."""
    parted = re.match(r"([^,;]+)([,;])(.*)", line)
    if parted is None:
        return line.strip(), ()
    class_name, mark, text = parted.groups()
    if mark == ";":
        said = text.split(";")
    elif "." in text:
        said = re.split(r"(?<=[.!?])\s+", text)
        return class_name.strip(), tuple(s.strip() for s in said if len(s.split()) >= MIN_WORDS)
    else:
        said = text.split(",")
    # Parts and synonyms are no sentences: the class's name makes them ones.
    return class_name.strip(), tuple(
        f"{class_name.strip()}: {' '.join(part.split()).rstrip(' .')}."
        for part in said
        if part.strip()
    )


def _key(class_name: str) -> str:
    return " ".join(class_name.casefold().split())
