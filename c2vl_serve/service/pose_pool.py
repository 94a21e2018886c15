"""PosePool: the service's one PoseExtractor, started when it can be and never a condition to run.

Skeletons are answered without it. A video that comes when it cannot be started is a 503 with the
next step, and the next video tries again: a model fetched meanwhile needs no restart.
"""

import logging
import threading
from dataclasses import dataclass

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import PoseExtractor, find_pose_model
from c2vl_serve.service.settings import ServiceSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseWorkers:
    """How many pose workers run, are at work, and were replaced so far."""

    alive: int = 0
    busy: int = 0
    replaced: int = 0


class PosePool:
    """Starts the pose workers once, from whichever thread needs them first."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._extractor: PoseExtractor | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    def extractor(self) -> PoseExtractor:
        """The running extractor; blocks while it starts.

        Raises:
            RuntimeUnavailable: with what is missing, and the next step.
        """
        with self._lock:
            if self._is_closed:
                raise RuntimeUnavailable("the service is stopping; try again later")
            if self._extractor is None:
                self._extractor = self._start()
            return self._extractor

    def workers(self) -> PoseWorkers:
        """The workers just now; never blocks, also not while they start."""
        extractor = self._extractor
        if extractor is None or self._is_closed:
            return PoseWorkers()
        return PoseWorkers(
            alive=extractor.num_alive,
            busy=extractor.num_workers - extractor.num_idle,
            replaced=extractor.num_replaced,
        )

    def warm(self) -> None:
        """Start now, so that the first video need not wait; log why if that cannot be."""
        try:
            self.extractor()
        except RuntimeUnavailable as error:
            logger.warning("videos will be refused: %s", error)

    def close(self) -> None:
        """Stop the workers, for good."""
        with self._lock:
            self._is_closed = True
            if self._extractor is not None:
                self._extractor.close()

    def _start(self) -> PoseExtractor:
        settings = self._settings
        if settings.pose_workers == 0:
            raise RuntimeUnavailable(
                "videos are turned off on this service (C2VL_POSE_WORKERS=0); send a skeleton"
            )
        return PoseExtractor(
            find_pose_model(settings.pose_model),
            num_workers=settings.pose_workers,
            limits=settings.video_limits,
            timeout=settings.pose_timeout,
            memory_bytes=settings.pose_memory_bytes,
            max_tasks=settings.pose_max_tasks,
        )
