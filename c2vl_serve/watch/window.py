"""A window with the picture, its skeletons and the current action; OpenCV's, if it has one."""

import os
import sys
from types import ModuleType, TracebackType

import numpy as np
from jaxtyping import UInt8

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose.live_source import load_cv2
from c2vl_serve.pose.overlay import draw_people
from c2vl_serve.watch.watcher import Moment

_TITLE = "c2vl-serve watch (q ends)"
_KEYS = {ord("q"), 27}  # q and Escape
_NO_WINDOW = "no window can be opened here ({}); watch without --window, or with --json"
_MARGIN = 8  # pixels


class OverlayWindow:
    """Shows moments until its user has had enough.

    Raises:
        RuntimeUnavailable: there is no display, or OpenCV was built without windows.
    """

    def __init__(self) -> None:
        # Qt, which OpenCV's wheels bring, ends the whole process where it finds no display.
        needs_display = sys.platform.startswith("linux")
        if needs_display and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
            raise RuntimeUnavailable(_NO_WINDOW.format("no display: DISPLAY is not set"))
        self._cv2: ModuleType = load_cv2()
        try:
            self._cv2.namedWindow(_TITLE, self._cv2.WINDOW_NORMAL)
        except self._cv2.error as error:
            reason = "OpenCV was built without windows"
            raise RuntimeUnavailable(_NO_WINDOW.format(reason)) from error

    def __enter__(self) -> "OverlayWindow":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cv2.destroyAllWindows()

    def show(self, moment: Moment) -> bool:
        """Draw; False once the user closed the window or pressed q."""
        picture = self._cv2.cvtColor(overlay(moment), self._cv2.COLOR_RGB2BGR)
        self._cv2.imshow(_TITLE, picture)
        if self._cv2.waitKey(1) & 0xFF in _KEYS:
            return False
        is_open = self._cv2.getWindowProperty(_TITLE, self._cv2.WND_PROP_VISIBLE) >= 1
        return bool(is_open)


def overlay(moment: Moment) -> UInt8[np.ndarray, "H W 3"]:
    """The picture with skeletons and captions drawn in (RGB)."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(moment.frame.image)
    draw_people(picture, moment.poses.image, moment.poses.visibility)
    size = max(14, picture.height // 20)  # pixels
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture, "RGBA")
    for row, (caption, colour) in enumerate(_captions(moment)):
        at = (_MARGIN, _MARGIN + row * round(1.6 * size))
        left, top, right, bottom = draw.textbbox(at, caption, font=font)
        draw.rectangle((left - 4, top - 4, right + 4, bottom + 4), fill=(0, 0, 0, 160))
        draw.text(at, caption, font=font, fill=colour)
    return np.asarray(picture)


def _captions(moment: Moment) -> list[tuple[str, str]]:
    """A line for each person, and its colour."""
    if not moment.persons:
        return [("looking ..." if moment.found is None else "nobody is seen", "#dddddd")]
    lines = []
    for person in moment.persons:
        best = person.actions[0]
        mark, colour = ("", "#7cff4f") if person.recognised else ("?", "#ffd24f")
        lines.append((f"{best.label}{mark}  {best.score:.2f}", colour))
    return lines
