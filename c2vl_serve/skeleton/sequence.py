"""SkeletonSequence: the one value that files, videos and requests all become."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.arrays import Joints
from c2vl_serve.skeleton.layout import SkeletonLayout

ALL_VISIBLE = np.empty((0, 0, 0), np.float32)  # stands for ones of the right shape


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SkeletonSequence:
    """Joints of up to M persons over T frames at a constant rate; checked once, trusted after.

    Attributes:
        joints: ``T M V C`` float32, C = 2 or 3, finite. A missing joint is 0 with visibility 0.
        visibility: ``T M V`` float32 in 0..1; all ones where not given.
        fps: frames per second, > 0.
        layout: names and tree of the V joints, and which way is up.
        person_ids: one stable id a person; 0..M-1 where not given.

    Raises:
        SequenceError: for an empty, non-finite or wrongly shaped sequence.
    """

    joints: Joints
    fps: float
    layout: SkeletonLayout
    visibility: Float32[np.ndarray, "_ _ _"] = field(default_factory=lambda: ALL_VISIBLE)
    person_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Fill the defaults, then check every promise of the class."""
        all_visible = self.visibility is ALL_VISIBLE
        if all_visible:
            object.__setattr__(self, "visibility", np.ones(self.joints.shape[:-1], np.float32))
        if not self.person_ids:
            object.__setattr__(self, "person_ids", tuple(range(self.num_persons)))
        self._check_shape()
        self._check_values(all_visible=all_visible)

    def _check_shape(self) -> None:
        T, M, V, C = self.joints.shape
        if T == 0 or M == 0:
            raise SequenceError(
                f"sequence is empty ({T} frames, {M} persons); expected at least one of each"
            )
        if self.layout.num_joints != V:
            raise SequenceError(
                f"sequence has {V} joints but layout {self.layout.name!r} has "
                f"{self.layout.num_joints}; name the layout that the joints are in"
            )
        if C not in (2, 3):
            raise SequenceError(f"joints have {C} coordinates; expected 2 (x, y) or 3 (x, y, z)")
        if self.visibility.shape != (T, M, V):
            raise SequenceError(
                f"visibility has shape {self.visibility.shape}; expected {(T, M, V)}, "
                "one value a joint"
            )
        if len(self.person_ids) != M:
            raise SequenceError(f"{len(self.person_ids)} person ids for {M} persons")

    def _check_values(self, *, all_visible: bool) -> None:
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise SequenceError(f"fps is {self.fps}; expected a positive number")
        check_finite(self.joints, self.layout)
        # NaN is neither.
        if not (all_visible or (self.visibility.min() >= 0 and self.visibility.max() <= 1)):
            raise SequenceError("visibility holds values outside 0..1")

    @property
    def num_frames(self) -> int:
        """T."""
        return int(self.joints.shape[0])

    @property
    def num_persons(self) -> int:
        """M."""
        return int(self.joints.shape[1])

    @property
    def duration(self) -> float:
        """Seconds covered, ``num_frames / fps``."""
        return self.num_frames / self.fps

    def frames(self, start: int, stop: int) -> "SkeletonSequence":
        """The frames ``start .. stop - 1`` as a sequence of their own.

        Raises:
            SequenceError: when there are none.
        """
        joints = self.joints[start:stop]
        if len(joints) == 0:
            raise SequenceError(
                f"frames {start} to {stop} of a sequence of {self.num_frames} are none; "
                "expected at least one"
            )
        return self.derived(joints=joints, visibility=self.visibility[start:stop])

    def persons(self, *indices: int) -> "SkeletonSequence":
        """The persons at these positions, in this order."""
        chosen = list(indices)
        if chosen == list(range(self.num_persons)):
            return self
        return self.derived(
            joints=self.joints[:, chosen],
            visibility=self.visibility[:, chosen],
            person_ids=tuple(self.person_ids[index] for index in chosen),
        )

    def derived(
        self,
        *,
        joints: Joints,
        visibility: Float32[np.ndarray, "_ _ _"],
        fps: float | None = None,
        layout: SkeletonLayout | None = None,
        person_ids: tuple[int, ...] = (),
    ) -> "SkeletonSequence":
        """A sequence made from parts or means of this one's numbers, which is not checked again.

        For steps that cannot break a promise of the class: checking is a third of what
        preparing a short sequence costs.
        """
        made = object.__new__(SkeletonSequence)
        for name, value in (
            ("joints", joints),
            ("visibility", visibility),
            ("fps", self.fps if fps is None else fps),
            ("layout", layout or self.layout),
            ("person_ids", person_ids or self.person_ids),
        ):
            object.__setattr__(made, name, value)
        return made


def check_finite(joints: Joints, layout: SkeletonLayout) -> None:
    """Refuse NaN and infinity.

    Raises:
        SequenceError: naming the first frame, person and joint.
    """
    if not np.isfinite(joints).all():
        finite = np.isfinite(joints).all(axis=-1)
        frame, person, joint = np.argwhere(~finite)[0]
        raise SequenceError(
            f"joints hold NaN or infinite values, first at frame {frame}, person {person}, "
            f"joint {layout.joints[joint]!r}; send 0 with visibility 0 for a joint "
            "that was not seen"
        )
