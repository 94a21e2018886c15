"""Every error this project raises on purpose; the lowest module, imported by all others.

    C2VLError
    ├── SequenceError       the input cannot be used                  HTTP 422
    ├── BundleError         the model folder is inconsistent          refuses to start
    ├── RuntimeUnavailable  provider, engine or extra is missing      HTTP 503
    ├── LabelError          a text was asked for that is not known    HTTP 422
    ├── GalleryError        an example or a name cannot be enrolled   HTTP 422
    │   ├── UnknownAction   no action of that name is enrolled        HTTP 404
    │   └── ActionConflict  it is there already, or there is no room  HTTP 409
    └── ClientError         a service elsewhere did not answer as asked; raised by the client only
        ├── ServiceUnreachable
        └── ServiceProblem  with the problem's status and detail
            └── ServiceBusy

A message says what was wrong, what was got, what was expected, and what to do next.
"""


class C2VLError(Exception):
    """Base of all errors raised on purpose by c2vl-serve."""


class SequenceError(C2VLError):
    """A skeleton or video cannot be used: empty, wrong layout, NaN, undecodable."""


class BundleError(C2VLError):
    """A bundle folder is missing, incomplete or contradicts itself."""


class RuntimeUnavailable(C2VLError):
    """A runtime, provider, model file or optional dependency that was asked for is not there."""


class ClientError(C2VLError):
    """A service elsewhere did not answer as asked."""


class ServiceUnreachable(ClientError):
    """No answer came: no connection, or not in time."""


class ServiceProblem(ClientError):
    """The service answered with a problem.

    Attributes:
        status: HTTP status.
        detail: the service's own sentence.
        errors: faults with a JSON ``pointer`` or a query ``parameter``.
        request_id: what the service's log calls the request.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: tuple[dict[str, str], ...] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.errors = errors
        self.request_id = request_id


class ServiceBusy(ServiceProblem):
    """It stayed busy, or this key over its limit, for as long as was waited."""


class LabelError(C2VLError):
    """A label or text was asked for that the bundle does not know."""


class GalleryError(C2VLError):
    """An example, a name or a file cannot be taken into a gallery."""


class UnknownAction(GalleryError):
    """No action of that name is enrolled."""


class ActionConflict(GalleryError):
    """An action cannot be enrolled beside what is there already."""
