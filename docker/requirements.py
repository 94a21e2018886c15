"""Print what the named extras need, one requirement a line, so that it can be installed first.

The images install this before the code is copied: an edit to the code then costs seconds.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
needed = project["dependencies"] + [need for extra in sys.argv[1:] for need in extras[extra]]
sys.stdout.write("\n".join(needed) + "\n")
