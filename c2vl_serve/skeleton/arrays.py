"""The named array types; every other module spells shapes with these.

Two orders only: ``T M V C`` for sequences (frame, person, joint, coordinate) and
``N C T V M`` for the model (sample, channel, frame, joint, person).
"""

from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float32

Joints: TypeAlias = Float32[np.ndarray, "T M V C"]  # metres (any unit: preprocessing removes it)
Visibility: TypeAlias = Float32[np.ndarray, "T M V"]  # 0 (missing) .. 1 (seen)
JointMask: TypeAlias = Bool[np.ndarray, "T M V"]  # True where a joint may be used
ModelInput: TypeAlias = Float32[np.ndarray, "N C T V M"]  # what a bundle's model takes
Logits: TypeAlias = Float32[np.ndarray, "N K"]  # K labels
Concept: TypeAlias = Float32[np.ndarray, "N E"]  # unit length; in the space of text embeddings
