"""One worker process as its owner sees it: start, ask, wait with a limit, stop."""

import multiprocessing
import os
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose.messages import Task, unpack_answer
from c2vl_serve.pose.worker import READY, run_worker

_GLANCE_SECONDS = 0.05  # how often a waiting thread looks whether it is still wanted
_STOP_SECONDS = 2.0


class Wait:
    """A time limit, and events that end the waiting early."""

    def __init__(self, seconds: float, *unless: threading.Event) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._unless = unless

    def glance(self, what: str) -> float:
        """Seconds to block at most before asking again.

        Raises:
            RuntimeUnavailable: the time is over, or nobody wants the answer any more.
        """
        if any(event.is_set() for event in self._unless):
            raise RuntimeUnavailable(f"{what} was cancelled: nobody waits for it any more")
        left = self._end - time.monotonic()
        if left <= 0:
            raise RuntimeUnavailable(
                f"{what} was not done after {self._seconds:g} s; send a shorter video, "
                "try again later, or allow more time"
            )
        return min(left, _GLANCE_SECONDS)


class WorkerProcess:
    """A pose worker and the pipe to it.

    Attributes:
        num_tasks: videos it was given.
    """

    def __init__(self, model: Path, memory_bytes: int) -> None:
        # spawn: a fork would copy the threads' locks of a running service in whatever state.
        context = multiprocessing.get_context("spawn")
        self._connection: Connection
        self._connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=run_worker, args=(theirs, model, memory_bytes), name="c2vl-pose", daemon=True
        )
        self._process.start()
        theirs.close()
        self._is_ready = False
        self.num_tasks = 0

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.is_alive()

    @property
    def resident_bytes(self) -> int:
        """Memory that the process holds now; 0 where the system does not tell."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def await_ready(self, wait: Wait) -> None:
        """Return once MediaPipe is loaded in the process.

        Raises:
            RuntimeUnavailable: it cannot be loaded there, the process died, or ``wait`` ended.
        """
        if self._is_ready:
            return
        answer = self._receive(wait, "starting a pose worker")
        if answer != READY:
            unpack_answer(answer)
        self._is_ready = True

    def work_on(self, task: Task, wait: Wait) -> bytes:
        """The process's answer to a task, packed.

        Raises:
            RuntimeUnavailable: the process died or ``wait`` ended; it is of no use any more.
        """
        self.num_tasks += 1
        try:
            for part in task.pack():
                self._connection.send_bytes(part)
        except OSError as error:
            raise self._died() from error
        return self._receive(wait, "pose estimation")

    def _receive(self, wait: Wait, what: str) -> bytes:
        try:
            while not self._connection.poll(wait.glance(what)):
                pass
            return self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._died() from error

    def _died(self) -> RuntimeUnavailable:
        self._process.join(_STOP_SECONDS)
        return RuntimeUnavailable(
            f"the pose worker died (exit code {self._process.exitcode}) and is being replaced; "
            "if the same video does it again, re-encode it or send a smaller one"
        )

    def stop(self, *, now: bool = False) -> None:
        """End the process: by itself where it is idle, by force where it is not."""
        self._connection.close()
        if not now:
            self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
        self._process.join(_STOP_SECONDS)
        if not self._process.is_alive():
            self._process.close()
