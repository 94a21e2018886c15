"""Batcher: windows of different requests run together, and nothing ever waits for company.

A batch is whatever waits at the moment a worker is free (work-conserving: no fixed wait). A
request with many windows takes one batch's worth a turn and then stands behind the others, so
that an hour of skeletons does not keep a second of them waiting.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from starlette.types import Receive

from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.service.engine import Engine
from c2vl_serve.service.lanes import unless_gone
from c2vl_serve.service.peers import HasLeft, gone, never
from c2vl_serve.service.problems import Problem, busy
from c2vl_serve.skeleton.arrays import ModelInput

_LEARNING_RATE = 0.2  # of the seconds that one window takes
_MAX_SURPRISE = 4.0  # times the estimate: what one batch counts for at most


@dataclass(kw_only=True, slots=True, eq=False)
class _Job:
    """One request's windows, on their way through the engine.

    Attributes:
        started: called when its first windows are taken.
        started_by: when it is given up unless its first windows run; on the loop's clock.
        has_left: whether its client is gone.
        taken: windows that were given to the engine.
        answered: windows that came back.
        begun: when the first windows were taken, by ``perf_counter``.
    """

    inputs: ModelInput
    done: asyncio.Future[None]
    started: Callable[[], None] | None
    started_by: float
    has_left: HasLeft
    taken: int = 0
    answered: int = 0
    begun: float = 0.0
    outputs: Outputs | None = None

    def turn(self, max_batch: int) -> int:
        """Windows that it takes when it is next."""
        return min(len(self.inputs) - self.taken, max_batch)

    def put(self, rows: slice, outputs: Outputs) -> None:
        """Keep the outputs of these rows."""
        N = len(self.inputs)
        if rows == slice(0, N):
            self.outputs = outputs
        else:
            if self.outputs is None:
                self.outputs = Outputs(
                    *(np.empty((N, part.shape[1]), part.dtype) for part in outputs.arrays)
                )
            for whole, part in zip(self.outputs.arrays, outputs.arrays, strict=True):
                whole[rows] = part
        self.answered += rows.stop - rows.start
        if self.answered == N and not self.done.done():
            self.done.set_result(None)


@dataclass(kw_only=True, slots=True)
class _Batch:
    """Rows of one or several jobs."""

    parts: list[tuple[_Job, slice]] = field(default_factory=list)

    def inputs(self) -> ModelInput:
        """All rows; a view where they are one job's."""
        pieces = [job.inputs[rows] for job, rows in self.parts]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def deliver(self, outputs: Outputs) -> None:
        """Each job its own rows."""
        at = 0
        for job, rows in self.parts:
            here = slice(at, at := at + rows.stop - rows.start)
            job.put(rows, Outputs(*(array[here] for array in outputs.arrays)))

    def fail(self, error: BaseException) -> None:
        """Each job the error."""
        for job, _ in self.parts:
            if not job.done.done():
                job.done.set_exception(error)


class Batcher:
    """A queue before an engine, for one event loop; bounded by estimated wait, not by count.

    Args:
        engine: what runs the batches.
        max_wait: estimated seconds that windows may wait before the first of them run.
        max_backlog: estimated seconds until a request's last window may be done, so that a few
            endless requests cannot promise away the hour.
        first_guess: seconds that one window takes a worker, until some were measured.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_wait: float,
        max_backlog: float = 60.0,
        first_guess: float = 0.005,
    ) -> None:
        self.engine = engine
        self.max_wait = max_wait
        self._max_backlog = max_backlog
        self._seconds = first_guess
        self._usual_turn = 1.0  # windows
        self._free = engine.num_workers
        self._queue: deque[_Job] = deque()
        self._ahead = 0  # windows that run before those of a request that comes now
        self._pending = 0  # windows that wait or run, of all requests
        self._working: set[asyncio.Task[None]] = set()

    @property
    def depth(self) -> int:
        """Windows that wait or run, of all requests."""
        return self._pending

    @property
    def estimated_wait(self) -> float:
        """Seconds until the first windows of a request that came now would run."""
        if self._free:
            return 0.0
        return (self._ahead + 1) * self._seconds / self.engine.num_workers

    @property
    def pace(self) -> float:
        """Seconds by which each request more makes the next one wait."""
        return self._usual_turn * self._seconds / self.engine.num_workers

    async def run(
        self,
        inputs: ModelInput,
        *,
        receive: Receive,
        deadline: float | None = None,
        started: Callable[[], None] | None = None,
        has_left: HasLeft = never,
    ) -> tuple[Outputs, float]:
        """The outputs of these windows, and the milliseconds from the first's turn to the last.

        Args:
            inputs: ``N C T V 1`` with N > 0.
            receive: of the request, after its body; tells when the client goes.
            deadline: on the loop's clock, or None.
            started: called when the first windows are taken.
            has_left: whether the client is gone, looked at before each of its windows is run.

        Raises:
            Problem: 503 when the wait would be, or was, too long; 499 when the client went.
        """
        loop = asyncio.get_running_loop()
        self._refuse_too_long(len(inputs), loop.time(), deadline)
        started_by = loop.time() + self.max_wait
        job = _Job(
            inputs=inputs,
            started=started,
            has_left=has_left,
            done=loop.create_future(),
            started_by=started_by if deadline is None else min(started_by, deadline),
        )
        self._pending += len(inputs)
        turn = job.turn(self.engine.max_batch)
        self._usual_turn += _LEARNING_RATE * (turn - self._usual_turn)
        self._enqueue(job)
        self._start()
        try:
            if job.taken == len(inputs) and deadline is None:
                await job.done
            else:
                await unless_gone(job.done, receive, deadline)
        finally:
            job.done.cancel()  # what has not been taken never will be
            self._pending -= len(inputs)
        assert job.outputs is not None
        return job.outputs, 1e3 * (perf_counter() - job.begun)

    async def close(self) -> None:
        """Wait for batches in progress, then for the engine's threads or processes."""
        await asyncio.gather(*self._working)
        await asyncio.to_thread(self.engine.close)

    def _refuse_too_long(self, num_windows: int, now: float, deadline: float | None) -> None:
        wait = self.estimated_wait
        if wait > self.max_wait:
            raise too_long(wait)
        total = (self._pending + num_windows) * self._seconds / self.engine.num_workers
        if total > self._max_backlog:
            raise busy(
                f"with this skeleton's {num_windows} windows {total:.0f} s of work would wait; at "
                f"most {self._max_backlog:g} s may: try again later, or send it in parts",
                total - self._max_backlog,
            )
        if deadline is not None and now + wait > deadline:
            raise too_long(wait)

    def _enqueue(self, job: _Job) -> None:
        self._queue.append(job)
        self._ahead += job.turn(self.engine.max_batch)

    def _start(self) -> None:
        """Let free workers have what waits."""
        while self._free and (batch := self._take()).parts:
            self._free -= 1
            task = asyncio.create_task(self._work(batch))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, batch: _Batch) -> None:
        """Run batches until nothing waits."""
        try:
            while batch.parts:
                await self._run(batch)
                batch = self._take()
        finally:
            self._free += 1

    async def _run(self, batch: _Batch) -> None:
        inputs = batch.inputs()
        begun = perf_counter()
        try:
            batch.deliver(await self.engine.run(inputs))
        except Exception as error:
            batch.fail(error)
        # One batch that was held up must not make the queue refuse what comes next.
        seconds = min((perf_counter() - begun) / len(inputs), _MAX_SURPRISE * self._seconds)
        self._seconds += _LEARNING_RATE * (seconds - self._seconds)

    def _take(self) -> _Batch:
        """The next windows, oldest first; requests that nobody waits for any more are dropped."""
        batch, room, now = _Batch(), self.engine.max_batch, asyncio.get_running_loop().time()
        while room and self._queue:
            job = self._queue.popleft()
            turn = job.turn(self.engine.max_batch)
            self._ahead -= turn
            if job.done.done():
                continue
            if job.has_left():
                job.done.set_exception(gone())
                continue
            if not job.taken:
                if now > job.started_by:
                    job.done.set_exception(too_long(self.estimated_wait))
                    continue
                job.begun = perf_counter()
                if job.started is not None:
                    job.started()
            rows = slice(job.taken, job.taken + min(turn, room))
            job.taken = rows.stop
            room -= rows.stop - rows.start
            batch.parts.append((job, rows))
            if job.taken < len(job.inputs):
                self._enqueue(job)
        return batch


def too_long(wait: float) -> Problem:
    """503 for a queue that is too long."""
    return busy(
        f"the queue is about {wait:.1f} s long, longer than the request may wait; try again later",
        wait,
    )
