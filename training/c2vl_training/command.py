"""The command that was typed, kept beside every number that it gives."""

import shlex
import sys


def typed_command() -> str:
    """As it would be typed again, however the program was started."""
    return shlex.join(["c2vl-train", *sys.argv[1:]])
