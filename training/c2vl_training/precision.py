"""Precision: bfloat16 where a network multiplies and float32 elsewhere, or float32 throughout."""

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def arithmetic(precision: Precision, device: str = "cpu") -> torch.autocast:
    """A context in which a network computes; weights and losses stay float32 outside of it."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")
