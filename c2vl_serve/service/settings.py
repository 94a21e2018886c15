"""ServiceSettings: everything that can be set about the service, read once in `create_app`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from c2vl_serve.bundle import ModelBundle
from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import VideoLimits
from c2vl_serve.recognition.gallery_store import default_file
from c2vl_serve.skeleton.formats import SequenceLimits

Provider = Literal["cpu", "cuda", "tensorrt", "auto"]


class ServiceSettings(BaseSettings):
    """Settings with their defaults; each is also an environment variable, ``C2VL_`` + its name.

    Lists are comma-separated. API keys may stand in ``C2VL_API_KEYS`` or, one a line, in the
    file that ``C2VL_API_KEYS_FILE`` names; without any, the service asks for none.
    """

    model_config = SettingsConfigDict(env_prefix="C2VL_", frozen=True, env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)

    bundle: str = "everyday"  # a shipped bundle's name, or a folder
    provider: Provider = "cpu"
    # Calls of the network at once on a CPU, a thread each; a GPU takes one after the other.
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=64)
    max_batch: int | None = Field(None, ge=1, le=64)  # windows a call; else 4 on CPU, 32 on GPU
    # Processes of about 300 MiB each; 0 turns videos off.
    pose_workers: int = Field(default_factory=lambda: min(4, os.cpu_count() or 1), ge=0, le=64)
    pose_timeout: float = Field(300.0, gt=0)  # seconds for one video
    pose_memory_bytes: int = Field(2 * 2**30, ge=2**30)  # of one worker
    pose_max_tasks: int = Field(200, ge=1)  # videos until a worker is replaced
    pose_model: Path | None = None  # where fetch-pose-model put it, unless given
    gallery: Path | None = None  # of enrolled actions; the bundle's own in the user's data folder

    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    api_keys_file: Path | None = None

    # Of each key, or of each client address where there are no keys.
    key_rate: float | None = Field(None, gt=0, le=1e6)  # requests a second, in the long run
    key_burst: int = Field(10, ge=1)  # requests at once, on top
    key_concurrent: int | None = Field(None, ge=1)  # requests in progress

    log_format: Literal["text", "json"] = "text"
    otel: bool = False  # traces; where they go is set with OTEL_*

    max_body_bytes: int = Field(64 * 2**20, ge=1)
    max_held_bytes: int = Field(512 * 2**20, ge=1)  # of all bodies at once, waiting ones too
    max_frames: int = Field(20_000, ge=1)
    max_persons: int = Field(10, ge=1)
    max_seconds: float = Field(3600.0, gt=0)  # of a skeleton sequence
    max_video_seconds: float = Field(120.0, gt=0)
    max_video_side: int = Field(4096, ge=16)  # pixels
    max_video_fps: float = Field(60.0, gt=0)  # frames per second that are looked at

    header_seconds: float = Field(5.0, gt=0)
    body_seconds: float = Field(60.0, gt=0)
    body_grace_seconds: float = Field(5.0, gt=0)  # before the minimum rate applies
    body_min_rate: int = Field(8192, ge=1)  # bytes a second

    max_skeleton_wait: float = Field(0.5, gt=0)  # estimated seconds in the queue
    max_video_wait: float = Field(30.0, gt=0)
    max_backlog: float = Field(60.0, gt=0)  # estimated seconds until all that waits is done

    drain_seconds: float = Field(5.0, ge=0)  # from SIGTERM until the port is closed
    finish_seconds: float = Field(30.0, gt=0)  # for requests in progress, once it is closed

    stream_sessions: int = Field(32, ge=1)  # at once, those in their grace time included
    stream_max_fps: float = Field(120.0, gt=0)  # frames per second that a stream may state
    stream_max_ahead: float = Field(5.0, gt=0)  # seconds of frames that may come early
    stream_idle_seconds: float = Field(60.0, gt=0)  # without a message
    stream_grace_seconds: float = Field(30.0, ge=0)  # that a session outlives its connection

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(key.strip() for key in value.split(",") if key.strip())
        return value

    @model_validator(mode="after")
    def _read_keys_file(self) -> "ServiceSettings":
        if self.api_keys_file is not None:
            try:
                lines = self.api_keys_file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"the API keys file cannot be read: {error}") from error
            keys = tuple(SecretStr(line.strip()) for line in lines if line.strip())
            if not keys:
                raise ValueError(f"the API keys file {self.api_keys_file} holds no key")
            object.__setattr__(self, "api_keys", (*self.api_keys, *keys))
        return self

    def gallery_file(self, bundle: ModelBundle) -> Path:
        """Where this bundle's gallery lies: where the settings say, or the user's own place."""
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        return self.gallery or default_file(bundle, Path(home))

    @property
    def video_limits(self) -> VideoLimits:
        """The limits that the reader of videos applies."""
        return VideoLimits(
            max_seconds=self.max_video_seconds,
            max_side=self.max_video_side,
            max_fps=self.max_video_fps,
        )

    @property
    def sequence_limits(self) -> SequenceLimits:
        """The limits that readers of skeletons apply."""
        return SequenceLimits(
            frames=self.max_frames, persons=self.max_persons, seconds=self.max_seconds
        )


def read_settings(**given: Any) -> ServiceSettings:
    """Settings from the environment, with what is given (and not None) in front.

    Raises:
        RuntimeUnavailable: naming the setting that is wrong, in a sentence.
    """
    try:
        return ServiceSettings(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        fault = error.errors()[0]
        name = "C2VL_" + "_".join(map(str, fault["loc"])).upper() if fault["loc"] else "settings"
        raise RuntimeUnavailable(f"{name}: {fault['msg']}; correct it and start again") from error
