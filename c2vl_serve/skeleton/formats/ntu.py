"""NTU RGB+D ``.skeleton`` text -> SkeletonSequence (Kinect v2, 25 joints, 30 fps).

The file counts frames, bodies in each frame and joints of each body; a joint's line holds x y z,
two projections, an orientation and a tracking state (Shahroudy et al., CVPR 2016).
"""

from collections.abc import Iterator

import numpy as np

from c2vl_serve.errors import SequenceError
from c2vl_serve.skeleton.formats.assemble import assemble, check_shape
from c2vl_serve.skeleton.formats.options import ReadOptions
from c2vl_serve.skeleton.layout import NTU25
from c2vl_serve.skeleton.sequence import SkeletonSequence

FPS = 30.0  # frames per second, of every NTU recording
VISIBILITY = (0.0, 0.5, 1.0)  # of tracking state 0 (not tracked), 1 (inferred), 2 (tracked)

_BODY_WORDS = 10
_JOINT_WORDS = 12

_Body = tuple[int, str, list[list[float]]]  # frame, body id, 25 x 12 numbers


def sequence_from_ntu(text: str, options: ReadOptions) -> SkeletonSequence:
    """A sequence of all bodies of the file; persons are numbered in order of appearance.

    A body that is absent from a frame has 0 with visibility 0 there.

    Raises:
        SequenceError: when the file ends early, counts wrongly or shows nobody.
    """
    layout = options.chosen_layout(NTU25)
    lines = iter([line for line in text.splitlines() if line.strip()])
    num_frames = _count(lines, "the number of frames", options.limits.frames)
    bodies = list(_bodies(lines, num_frames, options.limits.persons))
    if next(lines, None) is not None:
        raise SequenceError(f"the .skeleton file goes on after its {num_frames} frames")
    persons = {name: index for index, name in enumerate(dict.fromkeys(b[1] for b in bodies))}
    if not persons:
        raise SequenceError(f"nobody is seen in the {num_frames} frames of the .skeleton file")
    check_shape((num_frames, len(persons), layout.num_joints, 3), layout, options.limits)
    joints = np.zeros((num_frames, len(persons), 25, 3), np.float32)
    visibility = np.zeros((num_frames, len(persons), 25), np.float32)
    for frame, name, numbers in bodies:
        body = np.array(numbers)
        joints[frame, persons[name]] = body[:, :3]
        visibility[frame, persons[name]] = np.take(VISIBILITY, body[:, -1].astype(int))
    return assemble(
        joints,
        layout=layout,
        fps=options.chosen_fps(FPS),
        options=options,
        visibility=visibility,
    )


def _bodies(lines: Iterator[str], num_frames: int, max_persons: int) -> Iterator[_Body]:
    for frame in range(num_frames):
        seen: set[str] = set()
        for _ in range(_count(lines, f"the number of bodies in frame {frame}", max_persons)):
            words = _line(lines, f"a body of frame {frame}").split()
            if len(words) != _BODY_WORDS or words[0] in seen:
                raise SequenceError(
                    f"a body's line in frame {frame} of the .skeleton file has {len(words)} values "
                    f"or an id used twice; expected {_BODY_WORDS}, its own id first"
                )
            seen.add(words[0])
            num_joints = _count(lines, f"the number of joints in frame {frame}", 1000)
            if num_joints != 25:
                raise SequenceError(f"a body in frame {frame} has {num_joints} joints; expected 25")
            yield frame, words[0], [_joint(lines, frame) for _ in range(25)]


def _joint(lines: Iterator[str], frame: int) -> list[float]:
    words = _line(lines, f"a joint of frame {frame}").split()
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise SequenceError(f"a joint's line in frame {frame} is not numbers: {error}") from error
    if len(numbers) != _JOINT_WORDS or numbers[-1] not in (0, 1, 2):
        raise SequenceError(
            f"a joint's line in frame {frame} has {len(numbers)} values ending in "
            f"{words[-1][:20]!r}; expected {_JOINT_WORDS}, the last a tracking state 0, 1 or 2"
        )
    # A joint that is not tracked may carry NaN: it counts as missing.
    return numbers if numbers[-1] or np.isfinite(numbers[:3]).all() else [0.0] * _JOINT_WORDS


def _line(lines: Iterator[str], what: str) -> str:
    line = next(lines, None)
    if line is None:
        raise SequenceError(f"the .skeleton file ends before {what}; it was cut short")
    return line


def _count(lines: Iterator[str], what: str, most: int) -> int:
    line = _line(lines, what).strip()
    if not (line.isascii() and line.isdigit() and len(line) < 10):
        raise SequenceError(
            f"{what} is {line[:20]!r} in the .skeleton file; expected a whole number"
        )
    if int(line) > most:
        raise SequenceError(f"{what} is {int(line)}; at most {most} are accepted")
    return int(line)
