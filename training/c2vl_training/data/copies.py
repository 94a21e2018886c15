"""Test clips that are training clips as well, which a set's files may hold without saying so.

Every network is right on them that has learned its training clips by heart, so they say nothing
about clips that it has not seen. NW-UCLA has 95 of them (decision 24).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32


def copies_of_training(
    clips: Sequence[Float32[np.ndarray, "_ V C"]],
    training: Bool[np.ndarray, " N"],
    test: Bool[np.ndarray, " N"],
) -> Bool[np.ndarray, " N"]:
    """True for test clips with exactly the frames of a training clip.

    Args:
        clips: as recorded.
        training: which of them train.
        test: which of them test.
    """
    learned = {clips[clip].tobytes() for clip in np.flatnonzero(training).tolist()}
    copied = np.zeros(len(clips), bool)
    for clip in np.flatnonzero(test).tolist():
        copied[clip] = clips[clip].tobytes() in learned
    return copied
