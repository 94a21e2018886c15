"""What a service answers, as frozen values; fields that a newer service adds are passed over."""

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Read from a service's JSON; never changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Action(Answer):
    """A label and its calibrated score in 0..1."""

    label: str
    score: float


class Window(Answer):
    """What a person did from ``start`` to ``end`` (seconds)."""

    start: float
    end: float
    actions: tuple[Action, ...]
    recognised: bool


class Segment(Answer):
    """A stretch of a timeline, from ``start`` to ``end`` (seconds), in which one thing is done."""

    start: float
    end: float
    label: str
    score: float
    recognised: bool


class Pose(Answer):
    """One person's joints, frame by frame, to be drawn; see ``docs/page.md``."""

    space: str
    layout: str
    up: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    aspect: float | None = None
    fps: float
    times: tuple[float, ...]
    frames: tuple[tuple[float, ...], ...]


class Person(Answer):
    """What one person did.

    Attributes:
        segments: what a timeline's windows add up to.
        pose: joints to be drawn, where ``joints=True`` asked for them.
    """

    id: int
    actions: tuple[Action, ...]
    recognised: bool
    windows: tuple[Window, ...]
    segments: tuple[Segment, ...]
    pose: Pose | None = None


class Frames(Answer):
    """What became of the frames; ``complete`` is false where a container ended early."""

    read: int
    used: int
    fps: float
    complete: bool


class Prediction(Answer):
    """The answer to a skeleton or a video.

    Attributes:
        bundle: ``name@version``.
        actions: of the clearest person, best first.
        recognised: false where this is probably nothing that the bundle knows.
        timing_ms: milliseconds in each stage.
        overlay: a ``data:`` URI of a WebP strip, where ``draw=True`` asked for one.
    """

    bundle: str
    runtime: str
    actions: tuple[Action, ...]
    recognised: bool
    persons: tuple[Person, ...]
    frames: Frames
    notes: tuple[str, ...]
    timing_ms: dict[str, float]
    overlay: str | None = None


class EmbeddedPerson(Answer):
    """What one person did over the whole sequence, as a vector of length 1."""

    id: int
    embedding: tuple[float, ...]


class Embeddings(Answer):
    """The answer of ``embed``; comparable by cosine with others of the same ``model`` only.

    Attributes:
        bundle: ``name@version``.
        model: SHA-256 of the network.
        dims: numbers in one embedding.
        persons: clearest first; none where nobody is seen.
        timing_ms: milliseconds in each stage.
    """

    bundle: str
    model: str
    runtime: str
    dims: int
    persons: tuple[EmbeddedPerson, ...]
    frames: Frames
    notes: tuple[str, ...]
    timing_ms: dict[str, float]


class Enrolled(Answer):
    """An enrolled action and how many examples it has."""

    name: str
    num_examples: int


class EnrolledList(Answer):
    """All enrolled actions, in the order of their enrolment; ``bundle`` is ``name@version``."""

    bundle: str
    actions: tuple[Enrolled, ...]


class Enrolment(Enrolled):
    """An example was taken in, and is on the service's disk."""

    bundle: str
    frames: Frames
    notes: tuple[str, ...]
    timing_ms: dict[str, float]


class Bundle(Answer):
    """The card of the bundle that is served; all its other fields are kept as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    version: str
    labels: tuple[str, ...]
    runtime: str
    providers: tuple[str, ...]


class Problem(Answer):
    """RFC 9457."""

    detail: str
    errors: tuple[dict[str, str], ...] = ()
    request_id: str | None = None
