"""PredictQuery: what may stand behind the question mark of ``/predict``."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats import ReadOptions, SequenceLimits
from c2vl_serve.skeleton.layout import Up, layout_by_name


class PredictQuery(BaseModel):
    """How to read an input and how to answer; for layout, fps and up, the query wins."""

    model_config = ConfigDict(frozen=True)

    top_k: int = Field(5, ge=1, le=1000, description="actions in each list")
    window: float | None = Field(
        None, ge=0.1, le=60, allow_inf_nan=False, description="seconds; asks for a timeline"
    )
    stride: float | None = Field(
        None, ge=0.1, le=60, allow_inf_nan=False, description="seconds between windows"
    )
    persons: int = Field(2, ge=1, le=10, description="persons at most, clearest first")
    layout: str | None = Field(None, description="of the joints, such as ntu25")
    fps: float | None = Field(
        None, gt=0, le=1000, allow_inf_nan=False, description="frames per second of a skeleton"
    )
    up: Up | None = Field(None, description="the axis that points up, instead of the layout's")
    draw: bool = Field(False, description="for videos: answer with an overlay")
    labels: str | None = Field(
        None,
        min_length=1,
        max_length=8000,
        description="comma-separated; only these compete: labels, enrolled actions, or texts that "
        "the bundle carries",
    )
    joints: bool = Field(False, description="answer with each person's joints, to be drawn")

    @field_validator("layout")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                layout_by_name(name[:80])
            except SequenceError as error:
                raise ValueError(str(error)) from error
        return name

    @classmethod
    def checked(cls, **given: Any) -> "PredictQuery":
        """A query from Python values.

        Raises:
            SequenceError: naming the value that is wrong, in a sentence.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            fault = error.errors()[0]
            name = ".".join(map(str, fault["loc"]))
            message = fault["msg"].removeprefix("Value error, ")
            raise SequenceError(f"{name}: {message}, got {fault['input']!r}") from error

    @property
    def asked_labels(self) -> tuple[str, ...]:
        """The texts of ``labels``; none where all compete."""
        return tuple(text.strip() for text in (self.labels or "").split(",") if text.strip())

    def read_options(self, limits: SequenceLimits) -> ReadOptions:
        """What a reader of skeletons is told."""
        layout = None if self.layout is None else layout_by_name(self.layout)
        return ReadOptions(layout=layout, fps=self.fps, up=self.up, limits=limits)
