"""A safetensors file with a JSON description of what is in it: written whole, or not at all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from c2vl_serve.errors import C2VLError


@dataclass(frozen=True, kw_only=True, slots=True)
class FileKind:
    """One kind of file, and how to speak of it.

    Attributes:
        noun: what errors call it, such as ``checkpoint``.
        format: name and version of what is inside.
        next_step: what to do with a file of another format.
        error: raised for a file that cannot be used.
    """

    noun: str
    format: str
    next_step: str
    error: type[C2VLError]

    def write(self, path: Path, tensors: Mapping[str, Tensor], described: dict[str, Any]) -> None:
        """Write beside and rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.partial")
        save_file(
            {name: value.contiguous() for name, value in tensors.items()},
            beside,
            metadata={"format": self.format, "c2vl": json.dumps(described, sort_keys=True)},
        )
        beside.replace(path)

    def read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The tensors and their description.

        Raises:
            C2VLError: of this kind's own type, when the file is missing or of another format.
        """
        tensors, metadata = self._content(path)
        if metadata.get("format") != self.format:
            raise self.error(
                f"{self.noun} {path} has format {metadata.get('format')!r}; expected "
                f"{self.format!r}; {self.next_step}"
            )
        return tensors, json.loads(metadata["c2vl"])

    def wrote(self, path: Path) -> bool:
        """Whether the file is of this kind.

        Raises:
            C2VLError: of this kind's own type, when it cannot be read at all.
        """
        return self._content(path)[1].get("format") == self.format

    def _content(self, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, file.metadata() or {}
        except (OSError, SafetensorError) as error:
            raise self.error(f"{self.noun} {path} cannot be read: {error}") from error
