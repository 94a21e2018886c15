"""A strip of pictures with the found skeletons drawn in, to see what the recogniser was given."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, UInt8

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.skeleton.layout import MEDIAPIPE33

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageDraw

_NUM_PICTURES = 6
_PICTURE_HEIGHT = 270  # pixels
_WEBP_QUALITY = 75
_MIN_VISIBILITY = 0.3  # joints below are left out
_COLOURS = ("#00d1ff", "#ff7a00", "#7cff4f", "#ff4fd8")  # person 0, 1, ...


@dataclass(slots=True)
class OverlayStrip:
    """Keeps a few small pictures spread over a clip of unknown length, then draws on them."""

    _stride: int = 1
    _pictures: dict[int, "PIL.Image.Image"] = field(default_factory=dict)

    def add(self, frame: int, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Consider a frame, by its place among the used ones."""
        if frame % self._stride:
            return
        self._pictures[frame] = _small(image)
        if len(self._pictures) > 2 * _NUM_PICTURES:
            self._stride *= 2
            self._pictures = {k: p for k, p in self._pictures.items() if k % self._stride == 0}

    def render(
        self,
        joints: Float32[np.ndarray, "T M 33 2"],
        visibility: Float32[np.ndarray, "T M 33"],
    ) -> bytes:
        """The strip as a WebP file; ``joints`` in parts of the picture's width and height."""
        from PIL import Image

        frames = _spread(sorted(self._pictures), _NUM_PICTURES)
        pictures = [self._pictures[frame].copy() for frame in frames]
        for frame, picture in zip(frames, pictures, strict=True):
            draw_people(picture, joints[frame], visibility[frame])
        strip = Image.new("RGB", (sum(p.width for p in pictures), _PICTURE_HEIGHT))
        left = 0
        for picture in pictures:
            strip.paste(picture, (left, 0))
            left += picture.width
        out = io.BytesIO()
        strip.save(out, "WEBP", quality=_WEBP_QUALITY)
        return out.getvalue()


def _spread(frames: Sequence[int], count: int) -> list[int]:
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[i] for i in chosen]


def _small(image: UInt8[np.ndarray, "H W 3"]) -> "PIL.Image.Image":
    try:
        from PIL import Image
    except ImportError as error:
        raise RuntimeUnavailable(
            "the overlay cannot be drawn: the package 'pillow' is not installed; "
            "install it with: pip install 'c2vl-serve[pose]'"
        ) from error
    picture = Image.fromarray(image)
    width = max(1, min(round(picture.width * _PICTURE_HEIGHT / picture.height), 1000))
    return picture.resize((width, _PICTURE_HEIGHT))


def draw_people(
    picture: "PIL.Image.Image",
    joints: Float32[np.ndarray, "M 33 2"],
    visibility: Float32[np.ndarray, "M 33"],
) -> None:
    """Draw M persons into a picture; ``joints`` in parts of its width and height."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    points = joints * np.array(picture.size, np.float32)
    for person in range(len(points)):
        colour = _COLOURS[person % len(_COLOURS)]
        _draw_skeleton(draw, points[person], visibility[person] >= _MIN_VISIBILITY, colour)


def _draw_skeleton(
    draw: "PIL.ImageDraw.ImageDraw",
    points: Float32[np.ndarray, "33 2"],
    shown: np.ndarray,
    colour: str,
) -> None:
    for joint, parent in enumerate(MEDIAPIPE33.parents):
        if parent >= 0 and shown[joint] and shown[parent]:
            draw.line([tuple(points[joint]), tuple(points[parent])], fill=colour, width=2)
    for x, y in points[shown]:
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill="white", outline=colour)
