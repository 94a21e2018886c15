"""A query that was checked before gives what FastAPI gives, and so does every other."""

import itertools
from typing import Annotated, Any

import orjson
import pytest
from fastapi import APIRouter, FastAPI, Query, Request, Response
from starlette.testclient import TestClient

from c2vl_serve.service import problems
from c2vl_serve.service.query import PredictQuery
from c2vl_serve.service.query_route import QueryRoute


def app_with(**router: Any) -> FastAPI:
    routes = APIRouter(**router)

    @routes.get("/ask")
    async def ask(request: Request, query: Annotated[PredictQuery, Query()]) -> Response:
        return Response(orjson.dumps(query.model_dump()))

    @routes.get("/other")
    async def other(number: int) -> int:
        return number

    app = FastAPI()
    app.include_router(routes)
    problems.install(app)
    return app


VALUES = ["", "top_k=3", "top_k=0", "top_k=x", "top_k=", "draw=true", "draw=maybe", "window=inf"]
MORE = ["", "layout=ntu25", "layout=none", "fps=30", "fps=1e400", "unknown=1", "fps=15&fps=30"]
QUERIES = ["&".join(filter(None, pair)) for pair in itertools.product(VALUES, MORE)]


@pytest.mark.parametrize("query", [*QUERIES, "up=%2By", "layout=%ff", "x=" + "y" * 300])
def test_the_answer_is_fastapis(query: str) -> None:
    plain, cached = TestClient(app_with()), TestClient(app_with(route_class=QueryRoute))
    expected = plain.get(f"/ask?{query}")
    for _ in range(2):
        got = cached.get(f"/ask?{query}")
        assert (got.status_code, got.content) == (expected.status_code, expected.content)


def test_the_description_and_other_routes_are_fastapis() -> None:
    plain, cached = TestClient(app_with()), TestClient(app_with(route_class=QueryRoute))
    assert cached.get("/openapi.json").json() == plain.get("/openapi.json").json()
    assert cached.get("/other?number=7").json() == 7
    assert cached.get("/other?number=x").status_code == 422
