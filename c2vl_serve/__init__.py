"""Recognise what people are doing from their skeletons alone.

The whole public surface::

    recognizer = ActionRecognizer.load("everyday")
    sequence = SkeletonSequence(joints=joints, fps=30.0, layout=LAYOUTS["kinect20"])
    recognizer.recognise(sequence).actions[0].label
"""

from c2vl_serve.bundle import ModelBundle, load_bundle
from c2vl_serve.errors import BundleError, C2VLError, RuntimeUnavailable, SequenceError
from c2vl_serve.recognition.answers import ActionScore, PersonAnswer, Recognition, WindowAnswer
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.skeleton.layout import LAYOUTS, SkeletonLayout, layout_from_json
from c2vl_serve.skeleton.sequence import SkeletonSequence

__all__ = [
    "LAYOUTS",
    "ActionRecognizer",
    "ActionScore",
    "BundleError",
    "C2VLError",
    "ModelBundle",
    "PersonAnswer",
    "Recognition",
    "RuntimeUnavailable",
    "SequenceError",
    "SkeletonLayout",
    "SkeletonSequence",
    "WindowAnswer",
    "layout_from_json",
    "load_bundle",
]
