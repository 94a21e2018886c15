"""``python -m c2vl_serve.service.describe``: the API's description, as docs/openapi.json has it."""

import json
import sys

from fastapi import FastAPI

from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings


def described(app: FastAPI) -> str:
    """OpenAPI as indented JSON with sorted keys, so that a change is a small difference."""
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write it to standard output."""
    # The environment's settings change nothing in it.
    sys.stdout.write(described(create_app(ServiceSettings())))


if __name__ == "__main__":
    main()
