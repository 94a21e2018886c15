"""What the extractor and its workers say to each other, as bytes.

A worker has handled a stranger's file, so its answer is parsed as data (npz and JSON) and never
unpickled.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from c2vl_serve.errors import C2VLError, RuntimeUnavailable, SequenceError
from c2vl_serve.pose.container import VideoLimits
from c2vl_serve.pose.extraction import PoseExtraction
from c2vl_serve.pose.video import FrameReport
from c2vl_serve.skeleton.layout import MEDIAPIPE33
from c2vl_serve.skeleton.sequence import SkeletonSequence

_ERRORS: dict[str, type[C2VLError]] = {
    error.__name__: error for error in (SequenceError, RuntimeUnavailable)
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One video to work on; see :func:`c2vl_serve.pose.extract_pose`."""

    source: bytes | Path
    max_persons: int
    draw: bool
    limits: VideoLimits

    def pack(self) -> tuple[bytes, bytes]:
        """The task's head, and the video's content or its path."""
        is_path = isinstance(self.source, Path)
        head = {
            "is_path": is_path,
            "max_persons": self.max_persons,
            "draw": self.draw,
            "limits": asdict(self.limits),
        }
        body = str(self.source).encode() if isinstance(self.source, Path) else self.source
        return json.dumps(head).encode(), body

    @classmethod
    def unpack(cls, head: bytes, body: bytes) -> "Task":
        """The task that was packed."""
        fields = json.loads(head)
        return cls(
            source=Path(body.decode()) if fields["is_path"] else body,
            max_persons=fields["max_persons"],
            draw=fields["draw"],
            limits=VideoLimits(**fields["limits"]),
        )


def pack_error(error: C2VLError) -> bytes:
    """An error as an answer."""
    return _pack({"error": type(error).__name__, "message": str(error)}, {})


def pack_extraction(found: PoseExtraction) -> bytes:
    """A result as an answer."""
    arrays = {"image_joints": found.image_joints, "timestamps": found.timestamps}
    if found.sequence is not None:
        arrays |= {"joints": found.sequence.joints, "visibility": found.sequence.visibility}
    if found.overlay is not None:
        arrays["overlay"] = np.frombuffer(found.overlay, np.uint8)
    head = {
        "aspect": found.aspect,
        "fps": found.sequence.fps if found.sequence is not None else None,
        "frames": asdict(found.frames),
        "notes": found.notes,
        "timing_ms": found.timing_ms,
    }
    return _pack(head, arrays)


def unpack_answer(answer: bytes) -> PoseExtraction:
    """The result that was packed.

    Raises:
        C2VLError: the error that was packed.
    """
    with np.load(io.BytesIO(answer), allow_pickle=False) as members:
        arrays = {name: members[name] for name in members.files}
    head = json.loads(arrays["head"].tobytes())
    if "error" in head:
        raise _ERRORS.get(head["error"], RuntimeUnavailable)(head["message"])
    sequence = None
    if "joints" in arrays:
        sequence = SkeletonSequence(
            joints=arrays["joints"],
            visibility=arrays["visibility"],
            fps=head["fps"],
            layout=MEDIAPIPE33,
        )
    return PoseExtraction(
        sequence=sequence,
        image_joints=arrays["image_joints"],
        aspect=head["aspect"],
        timestamps=arrays["timestamps"],
        frames=FrameReport(**head["frames"]),
        notes=tuple(head["notes"]),
        timing_ms=head["timing_ms"],
        overlay=arrays["overlay"].tobytes() if "overlay" in arrays else None,
    )


def _pack(head: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez(out, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return out.getvalue()
