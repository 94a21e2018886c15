"""Recordings: what every reader gives. Names are known at once, a skeleton is read when asked for.

A set may hold a hundred thousand files; none stays in memory longer than it is looked at.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.sequence import SkeletonSequence

Tag: TypeAlias = int | str | None  # a number or a name, as the set has it; None where it says none


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is known of a recording before its skeleton is read.

    Attributes:
        sample_id: distinct within the set; a key, never text to learn from.
        class_name: the set's own name of the action.
        subject: who was recorded.
        view: which camera.
        setup: which arrangement of room and cameras.
        repetition: which time the same person did the same.
    """

    sample_id: str
    class_name: str
    subject: Tag = None
    view: Tag = None
    setup: Tag = None
    repetition: Tag = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recording(Entry):
    """An entry with its skeleton: ``T M V C``, all persons."""

    sequence: SkeletonSequence


def _every(entry: Entry) -> bool:
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """How the field divides a set.

    Attributes:
        trains: True for the training part; what else is used tests.
        used: False for recordings that the protocol leaves out.
    """

    trains: Callable[[Entry], bool]
    used: Callable[[Entry], bool] = _every


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recordings:
    """A set, or a part of one.

    Attributes:
        entries: one a recording, in a fixed order.
        read: from a sample id to its skeleton; can be pickled, so that other processes may read.
        class_names: all classes in the order of the set's own numbers; sorted where not given.
        source: what was read and how, so that two caches of one set are not mistaken.

    Raises:
        SequenceError: for a sample id used twice, or a class that is not among ``class_names``.
    """

    entries: tuple[Entry, ...]
    read: Callable[[str], SkeletonSequence]
    class_names: tuple[str, ...] = ()
    source: str

    def __post_init__(self) -> None:
        """Fill the classes, then refuse what would mix recordings up."""
        named = {entry.class_name for entry in self.entries}
        if not self.class_names:
            object.__setattr__(self, "class_names", tuple(sorted(named)))
        if unknown := named - set(self.class_names):
            raise SequenceError(
                f"{self.source}: classes {sorted(unknown)[:5]} are not among the "
                f"{len(self.class_names)} given"
            )
        seen: set[str] = set()
        for entry in self.entries:
            if entry.sample_id in seen:
                raise SequenceError(
                    f"{self.source}: sample id {entry.sample_id!r} occurs twice; "
                    "give each recording once"
                )
            seen.add(entry.sample_id)

    def __len__(self) -> int:
        """Number of recordings."""
        return len(self.entries)

    def __getitem__(self, index: int) -> Recording:
        """Read one recording.

        Raises:
            SequenceError: naming the recording, when its skeleton cannot be used.
        """
        entry = self.entries[index]
        try:
            sequence = self.read(entry.sample_id)
        except SequenceError as error:
            raise SequenceError(f"recording {entry.sample_id!r}: {error}") from error
        return Recording(**asdict(entry), sequence=sequence)

    def __iter__(self) -> Iterator[Recording]:
        """Read one recording after the other."""
        return (self[index] for index in range(len(self)))

    def where(self, keep: Callable[[Entry], bool]) -> "Recordings":
        """The recordings whose entry is to be kept; classes and their order stay."""
        return replace(self, entries=tuple(entry for entry in self.entries if keep(entry)))

    def split(self, protocol: Protocol) -> tuple["Recordings", "Recordings"]:
        """The training and the test part.

        Raises:
            SequenceError: when a part is empty, as with the protocol of another set.
        """
        used = self.where(protocol.used)
        train = used.where(protocol.trains)
        test = used.where(lambda entry: not protocol.trains(entry))
        if not (train.entries and test.entries):
            raise SequenceError(
                f"{self.source}: the protocol makes {len(train)} training and {len(test)} test "
                f"recordings of {len(self)}; expected some of each: is it another set's protocol?"
            )
        return train, test
