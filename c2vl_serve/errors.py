"""Every error this project raises on purpose; the lowest module, imported by all others.

    C2VLError
    ├── SequenceError       the input cannot be used                  HTTP 422
    ├── BundleError         the model folder is inconsistent          refuses to start
    └── RuntimeUnavailable  provider, engine or extra is missing      HTTP 503

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
