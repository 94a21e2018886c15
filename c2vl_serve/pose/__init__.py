"""Video to SkeletonSequence: decode, estimate poses, follow persons.

The C libraries are imported on first use, so this package can be imported without the extra
`pose`; what needs it raises RuntimeUnavailable with the install line.
"""

from c2vl_serve.pose.container import VideoLimits
from c2vl_serve.pose.extraction import POSE_FPS, PoseExtraction, extract_pose
from c2vl_serve.pose.extractor import PoseExtractor
from c2vl_serve.pose.pose_model import default_pose_model, fetch_pose_model, find_pose_model
from c2vl_serve.pose.video import FrameReport

__all__ = [
    "POSE_FPS",
    "FrameReport",
    "PoseExtraction",
    "PoseExtractor",
    "VideoLimits",
    "default_pose_model",
    "extract_pose",
    "fetch_pose_model",
    "find_pose_model",
]
