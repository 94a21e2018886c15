"""Client: the blocking one."""

import time
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

__all__ = ["Client"]


class Client:
    """A c2vl-serve service elsewhere; safe to use from several threads.

    Args:
        url: such as ``http://127.0.0.1:8000``.
        api_key: where the service wants one.
        timeout: seconds for one attempt; the service is told, and drops what is too late.
        max_wait: seconds that pauses may take together while the service is busy (503) or this
            key over its limit (429); 0 tries once.
        transport: instead of httpx2's own.

    Example::

        with Client("http://127.0.0.1:8000") as client:
            client.predict("jump.mp4", top_k=1).actions[0].label
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        max_wait: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        options = Options(url=url, api_key=api_key, timeout=timeout, max_wait=max_wait)
        self._options = options
        self._http = httpx.Client(transport=transport, **options.for_httpx())

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self, source: Source, *, layout: str | None = None, fps: float | None = None, **query: Any
    ) -> Prediction:
        """What the people in a skeleton or a video do.

        Args:
            source: a file's path or content (video or skeleton), a SkeletonSequence, or joints
                as an array ``T V C`` or ``T M V C``.
            layout: of an array's joints, such as ``ntu25``.
            fps: of an array's joints, frames per second.
            query: ``top_k``, ``window`` and ``stride`` (seconds), ``persons``, ``up``,
                ``labels`` (comma-separated), ``joints``, ``draw``.

        Raises:
            SequenceError: the source cannot be sent.
            ServiceProblem: the service refuses it, and says why.
            ServiceBusy: it stayed busy.
            ServiceUnreachable: there is no service, or no answer in time.
        """
        call = post_source("/predict", source, layout, fps, query)
        return answer_of(self._send(call), Prediction)

    def embed(
        self, source: Source, *, layout: str | None = None, fps: float | None = None, **query: Any
    ) -> Embeddings:
        """A vector of length 1 for each person; takes and raises what :meth:`predict` does."""
        call = post_source("/embed", source, layout, fps, query)
        return answer_of(self._send(call), Embeddings)

    def gallery(self) -> EnrolledList:
        """All enrolled actions; raises as :meth:`predict`."""
        return answer_of(self._send(Call(method="GET", path=ACTIONS)), EnrolledList)

    def enrol(
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
        return answer_of(self._send(call), Enrolment)

    def forget(self, name: str) -> None:
        """Drop an enrolled action and its examples; a ServiceProblem of status 404 if unknown."""
        refuse_problem(self._send(Call(method="DELETE", path=action_path(name))))

    def bundle(self) -> Bundle:
        """The card of the bundle that is served; raises as :meth:`predict`."""
        return answer_of(self._send(Call(method="GET", path="/bundle")), Bundle)

    def ready(self) -> bool:
        """Whether the service predicts; one attempt, False also where nothing answers."""
        try:
            return self._http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _send(self, call: Call) -> httpx.Response:
        waited, attempt = 0.0, 0
        while True:
            try:
                response = self._http.request(call.method, call.path, **call.rest)
            except httpx.TransportError as error:
                raise ServiceUnreachable(
                    f"{self._options.url} does not answer ({type(error).__name__}: {error}); "
                    "is it running, and the timeout long enough?"
                ) from error
            pause = pause_before_next(response, attempt)
            if response.status_code not in TRY_AGAIN or waited + pause > self._options.max_wait:
                return response
            time.sleep(pause)
            waited, attempt = waited + pause, attempt + 1
