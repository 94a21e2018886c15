"""Engine: where the network runs, beside the event loop; the batcher is all that calls it."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol, runtime_checkable

import numpy as np

from c2vl_serve.recognition.runtime import Outputs, Runtime
from c2vl_serve.skeleton.arrays import ModelInput

CPU_BATCH = 4  # windows a call: measured a fifth cheaper than one by one, and no cheaper beyond
GPU_BATCH = 32
# Runtimes on a GPU plan for each shape: batches are filled up to the next of few.
BUCKETS = (1, 2, 4, 8, 16, 32, 64)
NICENESS = 5  # of the threads that run the network, above the rest of the process


@runtime_checkable
class Engine(Protocol):
    """Runs batches of windows, several at once."""

    @property
    def num_workers(self) -> int:
        """Batches that can run at the same time."""
        ...

    @property
    def max_batch(self) -> int:
        """Windows of one batch at most."""
        ...

    async def run(self, inputs: ModelInput) -> Outputs:
        """What the network says about these windows."""
        ...

    def close(self) -> None:
        """Let go of threads or processes; batches in progress end first."""
        ...


class ThreadEngine:
    """Threads of this process: a call leaves the interpreter's lock, so they use as many cores.

    Args:
        runtime: safe to call from several threads.
        num_workers: threads.
        max_batch: windows of one call.
        buckets: batch sizes to fill up to, or none. Each is run once here, before any request.
    """

    def __init__(
        self, runtime: Runtime, *, num_workers: int, max_batch: int, buckets: tuple[int, ...] = ()
    ) -> None:
        self._runtime = runtime
        self._num_workers = num_workers
        self._max_batch = max_batch
        self._buckets = tuple(size for size in buckets if size <= max_batch)
        self._queue: SimpleQueue[tuple[ModelInput, asyncio.Future[Outputs]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"c2vl-engine-{k}", daemon=True)
            for k in range(num_workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def num_workers(self) -> int:
        """Threads."""
        return self._num_workers

    @property
    def max_batch(self) -> int:
        """Windows of one call at most."""
        return self._max_batch

    def warm(self, window: ModelInput) -> None:
        """Run every bucket once with copies of one window, so that no request waits for a plan."""
        for size in self._buckets:
            self._runtime.run(np.repeat(window[:1], size, axis=0))

    async def run(self, inputs: ModelInput) -> Outputs:
        """What the network says about these windows."""
        done: asyncio.Future[Outputs] = asyncio.get_running_loop().create_future()
        self._queue.put((inputs, done))
        return await done

    def close(self) -> None:
        """Finish what runs."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        """In a thread of its own: one batch after the other, until told to end."""
        _stand_back()
        while (work := self._queue.get()) is not None:
            inputs, done = work
            try:
                outputs = self._call(inputs)
            except Exception as error:
                _tell(done, done.set_exception, error)
            else:
                _tell(done, done.set_result, outputs)

    def _call(self, inputs: ModelInput) -> Outputs:
        N = len(inputs)
        size = next((bucket for bucket in self._buckets if bucket >= N), N)
        if size > N:
            inputs = np.concatenate([inputs, np.repeat(inputs[-1:], size - N, axis=0)])
        return Outputs(*(array[:N] for array in self._runtime.run(inputs)))


def _tell(done: asyncio.Future[Outputs], tell: Callable[[Any], None], what: object) -> None:
    """Settle a future from another thread, unless nobody waits for it any more."""

    def settle() -> None:
        if not done.done():
            tell(what)

    done.get_loop().call_soon_threadsafe(settle)


def _stand_back() -> None:
    """Let the event loop have a core when it wants one: Linux has a niceness for each thread.

    A network has milliseconds of work whenever it runs; a refusal a tenth of one, for which it
    would otherwise wait behind the network's time slice.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        usual = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, usual + NICENESS)  # the kernel stops at 19


def engine_for(runtime: Runtime, *, workers: int, max_batch: int | None = None) -> ThreadEngine:
    """The engine that suits what the runtime runs on.

    Args:
        runtime: verified.
        workers: calls at once on a CPU; a GPU takes one after the other.
        max_batch: windows of one call; :data:`CPU_BATCH` or :data:`GPU_BATCH` unless given.
    """
    if "/CPU" in runtime.name:
        return ThreadEngine(runtime, num_workers=workers, max_batch=max_batch or CPU_BATCH)
    return ThreadEngine(runtime, num_workers=1, max_batch=max_batch or GPU_BATCH, buckets=BUCKETS)
