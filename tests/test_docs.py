"""Tables in docs say what the code says: settings, layouts, routes, query."""

import re
from pathlib import Path

from fastapi.routing import APIWebSocketRoute

from c2vl_serve.service.app import create_app
from c2vl_serve.service.page import PAGE
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.settings import ServiceSettings
from c2vl_serve.service.stream import router as stream_router
from c2vl_serve.skeleton.convert import conversion
from c2vl_serve.skeleton.layout import BODY15, LAYOUTS

DOCS = Path(__file__).parents[1] / "docs"
# Defaults that depend on the machine are told in words.
IN_WORDS = {"workers": "number of cores", "pose_workers": "number of cores, at most 4"}


def _rows(document: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, code marks taken off."""
    section = (DOCS / document).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    table = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", section, re.MULTILINE)
    assert table, f"{document} has no table under {heading!r}"
    lines = table[1].splitlines()
    return [[cell.strip().replace("`", "") for cell in line[1:-1].split(" | ")] for line in lines]


def test_settings_are_documented_with_their_defaults() -> None:
    documented = {name: default for name, default, _ in _rows("service.md", "Settings")}
    expected = {}
    for name, field in ServiceSettings.model_fields.items():
        value = IN_WORDS.get(name, field.default)
        text = f"{value:g}" if isinstance(value, float) else str(value)
        expected[f"C2VL_{name.upper()}"] = "none" if value in (None, ()) else text
    assert documented == expected


def test_query_is_documented_with_its_defaults() -> None:
    documented = {
        name.strip(): default
        for names, default, _ in _rows("service.md", "Query")
        for name in names.split(",")
    }
    expected = {
        name: "none" if field.default is None else str(field.default).lower()
        for name, field in PredictQuery.model_fields.items()
    }
    assert documented == expected


def test_routes_are_documented() -> None:
    documented = {
        route.strip() for routes, _ in _rows("service.md", "Routes") for route in routes.split(",")
    }
    app = create_app(ServiceSettings(pose_workers=0))
    served = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    # OpenAPI does not describe WebSockets.
    served |= {
        f"WS {route.path}" for route in stream_router.routes if isinstance(route, APIWebSocketRoute)
    }
    assert documented == served | {f"GET {app.docs_url}", f"GET {app.openapi_url}", f"GET {PAGE}"}


def test_layouts_are_documented() -> None:
    documented = {name: rest for name, _, *rest in _rows("layouts.md", "Built in")}
    assert documented == {
        name: [
            str(layout.num_joints),
            layout.up,
            ", ".join(conversion(layout, BODY15).approximated) or "nothing",
        ]
        for name, layout in LAYOUTS.items()
    }
    for layout in LAYOUTS.values():
        row = f"| `{layout.name}` | {' '.join(layout.joints)} |"
        assert row in (DOCS / "layouts.md").read_text(encoding="utf-8")
