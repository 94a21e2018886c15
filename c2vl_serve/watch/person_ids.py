"""PersonIds: the same number for the same person from one answer to the next.

Each answer of `watcher` is of a window of its own, and tracking orders a window's persons by how
clear they are. Windows overlap: who stands where somebody stood in the same pictures is the same.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64

from c2vl_serve.pose.tracking import PersonTracks

_SAME_PLACE = 0.02  # mean distance of the joints, parts of the picture; smoothing differs by less


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """Where one person was, in the pictures that show them."""

    times: Float64[np.ndarray, " S"]
    image: Float32[np.ndarray, "S 33 2"]

    def num_common(self, other: "_Track") -> int:
        """Pictures in which both are at one place."""
        _, mine, theirs = np.intersect1d(self.times, other.times, return_indices=True)
        gaps = np.linalg.norm(self.image[mine] - other.image[theirs], axis=-1).mean(axis=-1)
        return int((gaps <= _SAME_PLACE).sum())


@dataclass(slots=True)
class PersonIds:
    """Numbers persons in the order in which they appear."""

    _known: dict[int, _Track] = field(default_factory=dict)
    _num_given: int = 0

    def of(self, tracks: PersonTracks, times: Float64[np.ndarray, " T"]) -> tuple[int, ...]:
        """The number of each person of the newest window, in the order of ``tracks``.

        Args:
            tracks: the persons of the window.
            times: of its pictures, seconds; those of pictures seen before are the same as then.
        """
        seen: Bool[np.ndarray, "T M"] = tracks.visibility.max(axis=-1) > 0
        people = [
            _Track(times[seen[:, person]], tracks.image[seen[:, person], person])
            for person in range(seen.shape[1])
        ]
        ids = self._matched(people)
        for person in range(len(people)):
            if person not in ids:
                ids[person] = self._num_given
                self._num_given += 1
            self._known[ids[person]] = people[person]
        self._known = {k: track for k, track in self._known.items() if track.times[-1] >= times[0]}
        return tuple(ids[person] for person in range(len(people)))

    def _matched(self, people: list[_Track]) -> dict[int, int]:
        """The numbers of those who were known, who shares the most pictures first."""
        pairs = [
            (track.num_common(known), id_, person)
            for person, track in enumerate(people)
            for id_, known in self._known.items()
        ]
        ids: dict[int, int] = {}
        for num_common, id_, person in sorted(pairs, reverse=True):
            if num_common and person not in ids and id_ not in ids.values():
                ids[person] = id_
        return ids
