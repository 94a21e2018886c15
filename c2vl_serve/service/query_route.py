"""QueryRoute: a FastAPI route that checks each distinct query string once.

Clients ask with the same few query strings all day, and checking one costs a quarter of what the
framework does for a request. OpenAPI and every complaint come from FastAPI as before.
"""

import inspect
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin
from urllib.parse import parse_qsl

from fastapi import Request, Response
from fastapi.params import Query
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

_LONGEST = 256  # bytes of a query string that is remembered
_REMEMBERED = 256

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class QueryRoute(APIRoute):
    """For endpoints ``async (request, query: Annotated[Model, Query()]) -> Response``."""

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, unless the query string is one that was found good before."""
        checking = super().get_route_handler()
        parameters = inspect.signature(self.endpoint, eval_str=True).parameters
        model = _query_model(parameters["query"].annotation) if "query" in parameters else None
        if model is None or set(parameters) != {"request", "query"}:
            return checking
        endpoint = self.endpoint

        @lru_cache(_REMEMBERED)
        def known(query_string: bytes) -> BaseModel | None:
            return _checked(model, query_string)

        async def handle(request: Request) -> Response:
            query_string: bytes = request.scope["query_string"]
            query = known(query_string) if len(query_string) <= _LONGEST else None
            if query is None:
                return await checking(request)
            return await endpoint(request=request, query=query)

        return handle


def _query_model(annotation: object) -> type[BaseModel] | None:
    """The model of ``Annotated[Model, Query()]``."""
    if get_origin(annotation) is not Annotated:
        return None
    model, *rest = get_args(annotation)
    is_query = any(isinstance(entry, Query) for entry in rest)
    return model if is_query and issubclass(model, BaseModel) else None


def _checked(model: type[BaseModel], query_string: bytes) -> BaseModel | None:
    """The query, or None where FastAPI should look at it: doubled, empty or wrong values."""
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    values = dict(pairs)
    if len(values) != len(pairs) or "" in values.values():
        return None
    try:
        return model.model_validate(values)
    except ValidationError:
        return None
