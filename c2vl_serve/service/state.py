"""ServiceState: what routes and middleware share while the service runs."""

from dataclasses import dataclass, field

from c2vl_serve.service.batching import Batcher
from c2vl_serve.service.bodies import JSON, MULTIPART, NPY, VIDEO
from c2vl_serve.service.lanes import Lane
from c2vl_serve.service.predictor import Predictor
from c2vl_serve.service.problems import RETRY_UNAVAILABLE, busy
from c2vl_serve.service.turnstile import Turnstile


@dataclass(kw_only=True, slots=True)
class ServiceState:
    """Queues and what stands behind them; the last two are None while, and because of, ``reason``.

    Attributes:
        skeletons: threads that read and prepare long skeletons.
        videos: threads that wait for pose workers.
        reason: why there is no answer yet.
        is_draining: told to stop; new work is refused, work in progress is finished.
        num_refused: requests that were refused before their body was read.
        predictor: reads inputs, writes answers.
        batcher: the queue before the network.
        turnstile: before short skeletons are read.
    """

    skeletons: Lane
    videos: Lane
    reason: str = "the bundle is being loaded"
    is_draining: bool = False
    num_refused: int = 0
    predictor: Predictor | None = None
    batcher: Batcher | None = None
    turnstile: Turnstile = field(default_factory=lambda: Turnstile(1))

    def ready(self) -> Predictor:
        """The predictor.

        Raises:
            Problem: 503 with the reason why there is none.
        """
        if self.predictor is None:
            raise busy(f"not ready: {self.reason}", RETRY_UNAVAILABLE)
        return self.predictor

    def queue(self) -> Batcher:
        """The queue before the network.

        Raises:
            Problem: 503 with the reason why there is none.
        """
        if self.batcher is None:
            raise busy(f"not ready: {self.reason}", RETRY_UNAVAILABLE)
        return self.batcher

    def waits(self, media_type: str) -> list[tuple[str, float, float]]:
        """Name, estimated wait and longest wait of the queues that a body may stand in.

        A form may hold either: it may come in where one of the two has room.
        """
        waits = []
        if media_type in (JSON, NPY, MULTIPART) and self.batcher is not None:
            outside = self.turnstile.num_waiting * self.batcher.pace
            wait = self.batcher.estimated_wait + outside
            waits.append(("skeleton", wait, self.batcher.max_wait))
        if media_type == MULTIPART or media_type.startswith(VIDEO):
            waits.append(("video", self.videos.estimated_wait, self.videos.max_wait))
        return waits
