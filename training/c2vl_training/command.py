"""The command that was typed, kept beside every number that it gives."""

import shlex
import sys
from pathlib import Path


def typed_command() -> str:
    """As it would be typed again: the program by its name, without its folder."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
