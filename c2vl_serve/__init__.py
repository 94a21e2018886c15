"""Recognise what people are doing from their skeletons alone.

The whole public surface::

    recognizer = ActionRecognizer.load("everyday")
    sequence = SkeletonSequence(joints=joints, fps=30.0, layout=LAYOUTS["kinect20"])
    recognizer.recognise(sequence).actions[0].label
"""

from typing import TYPE_CHECKING, Any

from c2vl_serve.bundle import ModelBundle, load_bundle
from c2vl_serve.errors import (
    BundleError,
    C2VLError,
    ClientError,
    RuntimeUnavailable,
    SequenceError,
    ServiceBusy,
    ServiceProblem,
    ServiceUnreachable,
)
from c2vl_serve.recognition.answers import ActionScore, PersonAnswer, Recognition, WindowAnswer
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout, layout_from_json
from c2vl_serve.skeleton.sequence import SkeletonSequence

if TYPE_CHECKING:
    from c2vl_serve.client import AsyncClient, Client

__all__ = [
    "LAYOUTS",
    "ActionRecognizer",
    "ActionScore",
    "AsyncClient",
    "BundleError",
    "C2VLError",
    "Client",
    "ClientError",
    "ModelBundle",
    "PersonAnswer",
    "Recognition",
    "RuntimeUnavailable",
    "SequenceError",
    "ServiceBusy",
    "ServiceProblem",
    "ServiceUnreachable",
    "SkeletonLayout",
    "SkeletonSequence",
    "WindowAnswer",
    "layout_from_json",
    "load_bundle",
]


def __getattr__(name: str) -> Any:
    """The clients, once asked for: they need an extra, and most programs need no client."""
    if name in ("AsyncClient", "Client"):
        from c2vl_serve import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
