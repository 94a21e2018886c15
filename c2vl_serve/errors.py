"""Every error this project raises on purpose; the lowest module, imported by all others.

    C2VLError
    ├── SequenceError       the input cannot be used                  HTTP 422
    ├── BundleError         the model folder is inconsistent          refuses to start
    ├── RuntimeUnavailable  provider, engine or extra is missing      HTTP 503
    ├── LabelError          a text was asked for that is not known    HTTP 422
    └── GalleryError        an example or a name cannot be enrolled   HTTP 422
        ├── UnknownAction   no action of that name is enrolled        HTTP 404
        └── ActionConflict  it is there already, or there is no room  HTTP 409

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


class LabelError(C2VLError):
    """A label or text was asked for that the bundle does not know."""


class GalleryError(C2VLError):
    """An example, a name or a file cannot be taken into a gallery."""


class UnknownAction(GalleryError):
    """No action of that name is enrolled."""


class ActionConflict(GalleryError):
    """An action cannot be enrolled beside what is there already."""
