"""Every error answer of the service: ``application/problem+json`` (RFC 9457), never a traceback."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from c2vl_serve.errors import (
    ActionConflict,
    C2VLError,
    GalleryError,
    LabelError,
    RuntimeUnavailable,
    SequenceError,
    UnknownAction,
)
from c2vl_serve.service.request_ids import HEADER, REQUEST_ID
from c2vl_serve.skeleton.formats import FieldError

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
CLIENT_GONE = 499  # nobody reads it; what proxies and logs call a client that hung up
_OWN_TITLES = {CLIENT_GONE: "Client Closed Request"}
# Of errors that are the client's to mend; the first that fits.
_STATUSES: dict[type[C2VLError], int] = {
    UnknownAction: 404,
    ActionConflict: 409,
    GalleryError: 422,
    LabelError: 422,
}
RETRY_UNAVAILABLE = 30.0  # seconds until something that is missing may have been put there


class Problem(Exception):
    """An answer other than 200, raised from wherever it is found out.

    Attributes:
        status: HTTP status.
        detail: what was wrong, what was got and expected, what to do next.
        errors: one entry a fault, with a JSON ``pointer`` into the body or a query ``parameter``.
        headers: such as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """The status' own phrase."""
        return _OWN_TITLES.get(self.status) or HTTPStatus(self.status).phrase

    @property
    def content(self) -> dict[str, Any]:
        """Its fields; ``type`` is ``about:blank``, as ``title`` is the status' own phrase."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if (request_id := REQUEST_ID.get()) is not None:
            content["request_id"] = request_id
        if self.errors:
            content["errors"] = [dict(error) for error in self.errors]
        return content

    def response(self) -> Response:
        """The answer over HTTP."""
        return Response(orjson.dumps(self.content), self.status, self.headers, MEDIA_TYPE)

    def shared_response(self) -> Response:
        """The same for any number of requests: the id of the one at hand is not in it."""
        content = {key: value for key, value in self.content.items() if key != "request_id"}
        return Response(orjson.dumps(content), self.status, self.headers, MEDIA_TYPE)


def busy(detail: str, retry_after: float) -> Problem:
    """503 with ``Retry-After`` in whole seconds, at least one."""
    return Problem(503, detail, headers={"Retry-After": str(max(1, round(retry_after)))})


def install(app: FastAPI) -> None:
    """Make every error that leaves a route a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(C2VLError, _own_error)
    app.add_exception_handler(RequestValidationError, _bad_query)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def of_error(error: C2VLError) -> Problem:
    """The problem that stands for one of this project's own errors."""
    if isinstance(error, SequenceError):
        at = error.pointer if isinstance(error, FieldError) else None
        errors = [] if at is None else [{"pointer": f"#{at}", "detail": str(error)}]
        return Problem(422, str(error), errors=errors)
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return Problem(status, str(error))
    if not isinstance(error, RuntimeUnavailable):
        logger.error("the bundle became unusable: %s", error)
    return busy(str(error), RETRY_UNAVAILABLE)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, C2VLError)
    return of_error(error).response()


async def _bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {
            "parameter": ".".join(map(str, fault["loc"][1:])),
            "detail": f"{fault['msg'].removeprefix('Value error, ')}, got {fault['input']!r:.60}",
        }
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['parameter']}: {fault['detail']}" for fault in errors)
    return Problem(422, f"the query cannot be used: {detail}", errors=errors).response()


async def _http_error(request: Request, error: Exception) -> Response:
    """404, 405 and whatever else the framework raises."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    sentences = {
        404: f"there is nothing at {path}; /docs lists what there is",
        405: f"{path} does not take {request.method}; see the Allow header, or /docs",
    }
    detail = sentences.get(error.status_code, str(error.detail))
    return Problem(error.status_code, detail, headers=error.headers).response()


async def _unexpected(request: Request, error: Exception) -> Response:
    """A fault of ours; the server logs the exception, the client gets no insides.

    The framework answers it outside of all our middleware, so the id is added here.
    """
    request_id = REQUEST_ID.get()
    return Problem(
        500,
        "the service failed on this request, which is its fault; its log says more",
        headers={} if request_id is None else {HEADER: request_id},
    ).response()
