"""Whether two pictures of a clip show the same view, or the camera was cut or moved between."""

import numpy as np
from jaxtyping import Float32, UInt8

_ROWS, _COLUMNS = 9, 16
_OTHER_VIEW = 12.0  # mean grey levels; people moving in a still view stay below 12, cuts are at 20+


def view_of(image: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "9 16"]:
    """The picture as 16 x 9 grey levels, 0 to 255."""
    height, width = image.shape[:2]
    step = max(1, min(height // (4 * _ROWS), width // (4 * _COLUMNS)))
    grey = image[::step, ::step, 1].astype(np.float32)  # green is grey enough, and cheap
    rows = np.arange(_ROWS) * len(grey) // _ROWS  # a picture may be smaller than the grid
    columns = np.arange(_COLUMNS) * grey.shape[1] // _COLUMNS
    view: np.ndarray = _cell_sums(grey, rows, columns) / _cell_sums(
        np.ones_like(grey), rows, columns
    )
    return view


def _cell_sums(grey: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)


def is_other_view(one: Float32[np.ndarray, "9 16"], other: Float32[np.ndarray, "9 16"]) -> bool:
    """Whether places in one picture mean nothing in the other."""
    return float(np.abs(one - other).mean()) > _OTHER_VIEW
