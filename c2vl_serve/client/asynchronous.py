"""AsyncClient: the same for asyncio."""

import asyncio
from types import TracebackType
from typing import Any

from c2vl_serve.client.answers import Bundle, Embeddings, EnrolledList, Enrolment, Prediction
from c2vl_serve.client.calls import (
    ACTIONS,
    TRY_AGAIN,
    Call,
    Options,
    Source,
    action_path,
    answer_of,
    httpx,
    pause_before_next,
    post_source,
    refuse_problem,
)
from c2vl_serve.errors import ServiceUnreachable

__all__ = ["AsyncClient"]


class AsyncClient:
    """A c2vl-serve service elsewhere, for asyncio; arguments and errors as :class:`Client` has.

    Example::

        async with AsyncClient("http://127.0.0.1:8000") as client:
            (await client.predict("jump.mp4", top_k=1)).actions[0].label
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        max_wait: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        options = Options(url=url, api_key=api_key, timeout=timeout, max_wait=max_wait)
        self._options = options
        self._http = httpx.AsyncClient(transport=transport, **options.for_httpx())

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def predict(
        self, source: Source, *, layout: str | None = None, fps: float | None = None, **query: Any
    ) -> Prediction:
        """What the people in a skeleton or a video do.

        As :meth:`Client.predict`, which tells the arguments and the errors.
        """
        call = post_source("/predict", source, layout, fps, query)
        return answer_of(await self._send(call), Prediction)

    async def embed(
        self, source: Source, *, layout: str | None = None, fps: float | None = None, **query: Any
    ) -> Embeddings:
        """A vector of length 1 for each person; takes and raises what :meth:`predict` does."""
        call = post_source("/embed", source, layout, fps, query)
        return answer_of(await self._send(call), Embeddings)

    async def gallery(self) -> EnrolledList:
        """All enrolled actions; raises as :meth:`predict`."""
        return answer_of(await self._send(Call(method="GET", path=ACTIONS)), EnrolledList)

    async def enrol(
        self,
        name: str,
        source: Source,
        *,
        layout: str | None = None,
        fps: float | None = None,
        **query: Any,
    ) -> Enrolment:
        """Teach an action, or give one a further example; one example a call.

        Takes and raises what :meth:`predict` does; a ServiceProblem of status 409 also where the
        name is a label's or there is no room.
        """
        call = post_source(action_path(name), source, layout, fps, query)
        return answer_of(await self._send(call), Enrolment)

    async def forget(self, name: str) -> None:
        """Drop an enrolled action and its examples; a ServiceProblem of status 404 if unknown."""
        refuse_problem(await self._send(Call(method="DELETE", path=action_path(name))))

    async def bundle(self) -> Bundle:
        """The card of the bundle that is served; raises as :meth:`predict`."""
        return answer_of(await self._send(Call(method="GET", path="/bundle")), Bundle)

    async def ready(self) -> bool:
        """Whether the service predicts; one attempt, False also where nothing answers."""
        try:
            return (await self._http.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def _send(self, call: Call) -> httpx.Response:
        waited, attempt = 0.0, 0
        while True:
            try:
                response = await self._http.request(call.method, call.path, **call.rest)
            except httpx.TransportError as error:
                raise ServiceUnreachable(
                    f"{self._options.url} does not answer ({type(error).__name__}: {error}); "
                    "is it running, and the timeout long enough?"
                ) from error
            pause = pause_before_next(response, attempt)
            if response.status_code not in TRY_AGAIN or waited + pause > self._options.max_wait:
                return response
            await asyncio.sleep(pause)
            waited, attempt = waited + pause, attempt + 1
