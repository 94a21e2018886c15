"""PoseExtractor: a few worker processes that turn videos into skeletons for a service.

A video is a stranger's program for two large C libraries. It runs in a process of its own, which
is replaced when it hangs, dies, or has done enough.
"""

import logging
import queue
import threading
import weakref
from pathlib import Path
from types import TracebackType

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose.container import VideoLimits
from c2vl_serve.pose.extraction import PoseExtraction
from c2vl_serve.pose.messages import Task, unpack_answer
from c2vl_serve.pose.worker_process import Wait, WorkerProcess

logger = logging.getLogger(__name__)

_START_SECONDS = 60.0  # a worker imports MediaPipe; on a cold disk that takes a while
_CLOSE_SECONDS = 2.0  # for a call in progress to notice
_GIBIBYTE = 1024**3


class PoseExtractor:
    """A pool of pose workers; safe to use from several threads at once.

    Each worker takes about one core and 300 MiB. A call waits for a free worker, so a service
    should bound what it lets in by ``num_workers`` and the clips' lengths.

    Args:
        model: the file from :func:`c2vl_serve.pose.find_pose_model`.
        num_workers: processes.
        limits: what is refused of a video.
        timeout: seconds for one call, waiting for a worker included.
        memory_bytes: a worker's allocations beyond fail (Linux); one that holds more than half
            of it after a video is replaced.
        max_tasks: a worker is replaced after so many videos.

    Raises:
        RuntimeUnavailable: the workers do not start; the message says what is missing.

    Example::

        with PoseExtractor(find_pose_model()) as extractor:
            found = extractor.extract(Path("jump.mp4"))
    """

    def __init__(
        self,
        model: Path,
        *,
        num_workers: int = 1,
        limits: VideoLimits | None = None,
        timeout: float = 120.0,
        memory_bytes: int = 2 * _GIBIBYTE,
        max_tasks: int = 200,
    ) -> None:
        if num_workers < 1:
            raise ValueError(f"num_workers is {num_workers}; expected at least 1")
        self._model = model
        self._limits = limits or VideoLimits()
        self._timeout = timeout
        self._memory_bytes = memory_bytes
        self._max_tasks = max_tasks
        self._closing = threading.Event()
        self._num_workers = num_workers
        self._num_made = 0
        self._living: weakref.WeakSet[WorkerProcess] = weakref.WeakSet()
        self._making = threading.Lock()
        # A place in the pool holds a worker, or None where the last one was lost.
        self._idle: queue.LifoQueue[WorkerProcess | None] = queue.LifoQueue()
        self._start_all()

    def __enter__(self) -> "PoseExtractor":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def num_workers(self) -> int:
        """Processes in the pool."""
        return self._num_workers

    @property
    def num_alive(self) -> int:
        """Processes that run."""
        with self._making:
            living = list(self._living)
        return sum(worker.is_alive for worker in living)

    @property
    def num_replaced(self) -> int:
        """Workers that hung, died or had done enough, and were stopped."""
        return max(0, self._num_made - self._num_workers)

    @property
    def num_idle(self) -> int:
        """Processes that wait for work just now."""
        return self._idle.qsize()

    def extract(
        self,
        source: bytes | Path,
        *,
        max_persons: int = 2,
        draw: bool = False,
        timeout: float | None = None,
        cancel: threading.Event | None = None,
    ) -> PoseExtraction:
        """Find the people in a video; blocks, so call it from a thread.

        Args:
            source: a video file's path, or its content.
            max_persons: how many people to keep. One is cheaper and steadier than two.
            draw: also draw an overlay.
            timeout: seconds for this call, waiting for a worker included.
            cancel: once set, the work is dropped and the call ends.

        Raises:
            SequenceError: the video cannot be used.
            RuntimeUnavailable: no worker was free in time, it took too long, it died, the call
                was cancelled, or the extractor is closed.
        """
        if max_persons < 1:
            raise ValueError(f"max_persons is {max_persons}; expected at least 1")
        seconds = self._timeout if timeout is None else timeout
        wait = Wait(seconds, self._closing, *([cancel] if cancel is not None else []))
        task = Task(source=source, max_persons=max_persons, draw=draw, limits=self._limits)
        worker = self._take(wait)
        answer: bytes | None = None
        try:
            if worker is None or not worker.is_alive:
                worker = self._new_worker()
            worker.await_ready(wait)
            answer = worker.work_on(task, wait)
        finally:
            self._give_back(worker, is_sound=answer is not None)
        return unpack_answer(answer)

    def close(self) -> None:
        """Stop the workers; calls in progress end with RuntimeUnavailable."""
        self._closing.set()
        for _ in range(self._num_workers):
            try:
                worker = self._idle.get(timeout=_CLOSE_SECONDS)
            except queue.Empty:
                return  # its thread sees the flag and stops it
            if worker is not None:
                worker.stop()

    def _start_all(self) -> None:
        wait = Wait(_START_SECONDS, self._closing)
        workers: list[WorkerProcess] = []
        try:
            for _ in range(self._num_workers):
                workers.append(self._new_worker())
            for worker in workers:
                worker.await_ready(wait)
        except BaseException:
            for worker in workers:
                worker.stop(now=True)
            raise
        for worker in workers:
            self._idle.put(worker)

    def _new_worker(self) -> WorkerProcess:
        worker = WorkerProcess(self._model, self._memory_bytes)
        with self._making:
            self._num_made += 1
            self._living.add(worker)
        return worker

    def _take(self, wait: Wait) -> WorkerProcess | None:
        while not self._closing.is_set():
            try:
                return self._idle.get(timeout=wait.glance("waiting for a free pose worker"))
            except queue.Empty:
                continue
        raise RuntimeUnavailable("the pose extractor is closed; make a new one")

    def _give_back(self, worker: WorkerProcess | None, *, is_sound: bool) -> None:
        """Return the place in the pool, with a fresh worker in it where the old one is spent."""
        is_spent = worker is None or self._is_spent(worker)
        if is_sound and not is_spent and not self._closing.is_set():
            self._idle.put(worker)
            return
        fresh: WorkerProcess | None = None
        try:
            if worker is not None:
                logger.info("pose worker is replaced", extra={"tasks": worker.num_tasks})
                worker.stop(now=not is_sound)
            if not self._closing.is_set():
                fresh = self._new_worker()
        finally:
            self._idle.put(fresh)

    def _is_spent(self, worker: WorkerProcess) -> bool:
        """Whether it has seen many videos, or kept much of what it took for one."""
        has_grown = worker.resident_bytes > self._memory_bytes // 2
        return has_grown or worker.num_tasks >= self._max_tasks
