"""What a run leaves on the way: written beside and renamed, so that a kill leaves the last one."""

import json
from pathlib import Path
from typing import Any

import torch


def write_state(state: dict[str, Any], path: Path) -> None:
    """Replace the state at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    torch.save(state, beside)
    beside.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Replace the JSON file at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
