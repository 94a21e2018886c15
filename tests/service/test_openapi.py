"""The committed description of the API is the live one, and is well formed."""

from pathlib import Path

from c2vl_serve.service.app import create_app
from c2vl_serve.service.describe import described
from c2vl_serve.service.settings import ServiceSettings

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_committed_description_is_the_live_one() -> None:
    live = described(create_app(ServiceSettings(pose_workers=0)))
    assert COMMITTED.read_text(encoding="utf-8") == live, "run: make openapi"
