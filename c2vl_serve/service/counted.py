"""CountedRuntime: a runtime that tells how many windows each of its calls had."""

from collections.abc import Callable
from copy import copy

from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.recognition.runtime import RawOutputs, Runtime
from c2vl_serve.skeleton.arrays import ModelInput


class CountedRuntime:
    """The same runtime; ``tell`` gets the number of windows after each call, in its thread."""

    def __init__(self, runtime: Runtime, tell: Callable[[int], None]) -> None:
        self._runtime = runtime
        self._tell = tell

    @property
    def name(self) -> str:
        """The runtime's own."""
        return self._runtime.name

    def run(self, x: ModelInput) -> RawOutputs:
        """As the runtime does."""
        outputs = self._runtime.run(x)
        self._tell(len(x))
        return outputs


def counted(recognizer: ActionRecognizer, tell: Callable[[int], None]) -> ActionRecognizer:
    """The same recogniser on a counted runtime; the one that was given stays as it is."""
    twin = copy(recognizer)
    twin.runtime = CountedRuntime(recognizer.runtime, tell)
    return twin
