"""What the service answers, as pydantic models: OpenAPI comes from here.

Predictions are written from recognition's own values, which have the same fields; a test holds
the two together.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from c2vl_serve.skeleton.layout import Up


class Action(BaseModel):
    """A label and how likely it is."""

    label: str
    score: float = Field(ge=0, le=1, description="calibrated; the card states the error")


class Window(BaseModel):
    """What a person did in a stretch of time."""

    start: float = Field(description="seconds")
    end: float = Field(description="seconds")
    actions: list[Action]
    recognised: bool


class Segment(BaseModel):
    """One action of a person without a break."""

    start: float = Field(description="seconds")
    end: float = Field(description="seconds")
    label: str
    score: float = Field(ge=0, le=1)
    recognised: bool


class Pose(BaseModel):
    """Where one person's joints were, frame by frame, to be drawn.

    In the space ``picture``, x and y are parts of the picture's width and height, from its top
    left corner; in the space ``room``, x, y and z are as they were sent, with ``up`` upwards.
    """

    space: Literal["picture", "room"]
    layout: str
    up: Up
    joints: list[str] = Field(description="names, in the order of each frame")
    edges: list[tuple[int, int]] = Field(description="parent and joint, where a line is drawn")
    aspect: float | None = Field(default=None, description="width / height of the picture")
    fps: float = Field(description="frames per second of what is shown here")
    times: list[float] = Field(description="seconds, one a frame")
    frames: list[list[float]] = Field(
        description="x, y, (z in a room,) visibility, joint after joint; [] where nobody is seen"
    )


class Person(BaseModel):
    """What one person did."""

    id: int
    actions: list[Action]
    recognised: bool
    windows: list[Window] = Field(description="these may overlap")
    segments: list[Segment] = Field(
        default=[], description="with a timeline: smoothed and merged, in order, without overlap"
    )
    pose: Pose | None = Field(default=None, description="with joints=true")


class Frames(BaseModel):
    """What became of the frames."""

    read: int = Field(description="frames in the input that could be read")
    used: int = Field(description="frames that joints were taken from")
    fps: float = Field(description="frames per second of the input; 0 where unknown")
    complete: bool = Field(description="false where a container ended early or was damaged")


class TimingMs(BaseModel):
    """Milliseconds spent in each stage; ``total`` is from the whole body to the answer."""

    decode: float = 0.0
    pose: float = 0.0
    preprocess: float = 0.0
    inference: float = 0.0
    total: float = 0.0


class Prediction(BaseModel):
    """The answer to a skeleton or a video."""

    bundle: str = Field(description="name@version", examples=["everyday@1.0.0"])
    runtime: str = Field(examples=["onnxruntime/CPUExecutionProvider"])
    actions: list[Action] = Field(description="of the person seen most clearly, best first")
    recognised: bool = Field(description="false when this is nothing that the bundle knows")
    persons: list[Person]
    frames: Frames
    notes: list[str]
    timing_ms: TimingMs
    overlay: str | None = Field(
        default=None, description="with draw=true, for videos: a data: URI of a WebP strip"
    )


class ServerMetadata(BaseModel):
    """Of the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor's name and shape; -1 is any number."""

    name: str
    datatype: Literal["FP32"]
    shape: list[int]


class ModelMetadata(BaseModel):
    """Of the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str = Field(description="the runtime in use")
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InferredTensor(TensorMetadata):
    """An output: its numbers, row by row, or how many raw bytes of it follow the JSON."""

    data: list[float] = []
    parameters: dict[str, int] = {}


class InferenceAnswer(BaseModel):
    """Of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferredTensor]


class Health(BaseModel):
    """Alive, or ready to predict."""

    status: Literal["live", "ready"]


class BundleAnswer(BaseModel):
    """The bundle's card, and what runs it; the card's other fields are passed on as they are."""

    model_config = ConfigDict(extra="allow")

    name: str
    version: str
    runtime: str
    providers: list[str]


class ProblemDetails(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = Field(description="what was wrong, got and expected, and what to do next")
    request_id: str | None = Field(
        default=None, description="as in the header X-Request-ID and in the service's log"
    )
    errors: list[dict[str, str]] = Field(
        default=[], description="JSON pointers into the body, or query parameters, with details"
    )
