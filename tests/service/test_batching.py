"""The queue before the network: together as alone, fair, bounded, emptied of those who left."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from starlette.types import Message

from c2vl_serve.recognition.runtime import Outputs
from c2vl_serve.service.batching import Batcher
from c2vl_serve.service.engine import BUCKETS, NICENESS, ThreadEngine, engine_for
from c2vl_serve.service.problems import CLIENT_GONE, Problem
from c2vl_serve.skeleton.arrays import ModelInput


class Adding:
    """A runtime whose logits are sums of the windows; it can be held, and keeps a record."""

    name = "made-up/CPU"

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.may_go = threading.Event()
        self.may_go.set()

    def run(self, x: ModelInput) -> tuple[np.ndarray, np.ndarray]:
        self.may_go.wait(30)
        self.batches.append(x[:, 0, 0, 0, 0].tolist())
        sums = x.reshape(len(x), -1).sum(axis=1, keepdims=True)
        return sums.repeat(3, axis=1), sums.repeat(2, axis=1)


def windows(*values: float) -> ModelInput:
    x = np.zeros((len(values), 1, 2, 2, 1), np.float32)
    x[:, 0, 0, 0, 0] = values
    return x


async def connected() -> Message:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits that long")


@asynccontextmanager
async def batcher_of(
    runtime: Adding, *, workers: int = 1, max_batch: int = 2, **settings: float
) -> AsyncIterator[Batcher]:
    engine = ThreadEngine(runtime, num_workers=workers, max_batch=max_batch)
    batcher = Batcher(engine, **{"max_wait": 30.0, **settings})
    try:
        yield batcher
    finally:
        runtime.may_go.set()
        await batcher.close()


async def ask(batcher: Batcher, *values: float) -> list[float]:
    outputs, milliseconds = await batcher.run(windows(*values), receive=connected)
    assert outputs.representation.shape == (len(values), 2)
    assert milliseconds >= 0
    return outputs.logits[:, 0].tolist()


async def held(
    runtime: Adding, batcher: Batcher, *asking: Callable[[], Awaitable[object]]
) -> list[asyncio.Task[object]]:
    """Tasks that asked, in order, while a first request keeps the only worker busy."""
    runtime.may_go.clear()
    tasks: list[asyncio.Task[object]] = []
    for each in (lambda: ask(batcher, 0), *asking):
        tasks.append(asyncio.ensure_future(each()))  # type: ignore[arg-type]
        await asyncio.sleep(0)
    return tasks


def test_windows_of_different_requests_run_together() -> None:
    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime) as batcher:
            asking = [lambda k=k: ask(batcher, k) for k in (1, 2, 3)]
            tasks = await held(runtime, batcher, *asking)
            assert batcher.depth == 4  # one runs
            runtime.may_go.set()
            assert await asyncio.gather(*tasks) == [[0], [1], [2], [3]]
            assert batcher.depth == 0
            assert runtime.batches == [[0], [1, 2], [3]]

    asyncio.run(main())


def test_a_request_with_many_windows_takes_turns() -> None:
    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime) as batcher:
            tasks = await held(
                runtime,
                batcher,
                lambda: ask(batcher, 1, 2, 3, 4, 5),
                lambda: ask(batcher, 6),
                lambda: ask(batcher, 7, 8, 9),
            )
            runtime.may_go.set()
            assert await asyncio.gather(*tasks) == [[0], [1, 2, 3, 4, 5], [6], [7, 8, 9]]
            assert runtime.batches == [[0], [1, 2], [6, 7], [3, 4], [8, 9], [5]]
            assert batcher.estimated_wait == 0

    asyncio.run(main())


def test_what_nobody_waits_for_is_not_run() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime) as batcher:
            tasks = await held(
                runtime,
                batcher,
                *[lambda k=k: batcher.run(windows(k), receive=gone) for k in range(1, 41)],
            )
            for task in tasks[1:]:
                with pytest.raises(Problem, match="closed the connection") as caught:
                    await task
                assert caught.value.status == CLIENT_GONE
            last = asyncio.ensure_future(ask(batcher, 99))
            await asyncio.sleep(0)
            runtime.may_go.set()
            assert await last == [99]
            assert runtime.batches == [[0], [99]]

    asyncio.run(main())


def test_a_queue_that_is_too_long_is_refused_with_the_time_to_come_back() -> None:
    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime, max_wait=4.5, first_guess=2.0) as batcher:
            tasks = await held(runtime, batcher, lambda: ask(batcher, 1), lambda: ask(batcher, 2))
            assert batcher.estimated_wait == pytest.approx(6.0)
            with pytest.raises(Problem, match=r"queue is about 6\.0 s") as caught:
                await ask(batcher, 3)
            assert caught.value.status == 503
            assert caught.value.headers["Retry-After"] == "6"
            runtime.may_go.set()
            assert await asyncio.gather(*tasks) == [[0], [1], [2]]

    asyncio.run(main())


def test_a_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime, first_guess=2.0) as batcher:
            tasks = await held(runtime, batcher, lambda: ask(batcher, 1))
            soon = asyncio.get_running_loop().time() + 1.0
            with pytest.raises(Problem, match="longer than the request may wait"):
                await batcher.run(windows(2), receive=connected, deadline=soon)
            runtime.may_go.set()
            await asyncio.gather(*tasks)
            assert runtime.batches == [[0], [1]]

    asyncio.run(main())


def test_a_deadline_that_passes_in_the_queue_ends_the_wait() -> None:
    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime, first_guess=1e-6) as batcher:
            tasks = await held(runtime, batcher)
            soon = asyncio.get_running_loop().time() + 0.05
            with pytest.raises(Problem, match="X-Request-Timeout passed") as caught:
                await batcher.run(windows(2), receive=connected, deadline=soon)
            assert caught.value.status == 503
            runtime.may_go.set()
            await asyncio.gather(*tasks)
            assert await ask(batcher, 5) == [5]
            assert runtime.batches == [[0], [5]]

    asyncio.run(main())


def test_what_was_estimated_wrong_is_given_up_when_its_turn_comes() -> None:
    async def main() -> None:
        runtime = Adding()
        async with batcher_of(runtime, max_wait=0.05, first_guess=1e-6) as batcher:
            tasks = await held(runtime, batcher, lambda: ask(batcher, 1))
            await asyncio.sleep(0.1)
            runtime.may_go.set()
            assert await tasks[0] == [0]
            with pytest.raises(Problem, match="try again later"):
                await tasks[1]
            assert runtime.batches == [[0]]

    asyncio.run(main())


def test_endless_requests_cannot_promise_the_hour_away() -> None:
    async def main() -> None:
        async with batcher_of(Adding(), max_backlog=10.0, first_guess=1.0) as batcher:
            assert len(await ask(batcher, *range(10))) == 10
        async with batcher_of(Adding(), max_backlog=10.0, first_guess=1.0) as batcher:
            with pytest.raises(Problem, match="this skeleton's 11 windows 11 s of work"):
                await ask(batcher, *range(11))

    asyncio.run(main())


def test_an_engine_that_fails_fails_its_batch_and_no_other() -> None:
    class Failing(Adding):
        def run(self, x: ModelInput) -> tuple[np.ndarray, np.ndarray]:
            if x.min() < 0:
                raise RuntimeError("cannot")
            return super().run(x)

    async def main() -> None:
        async with batcher_of(Failing()) as batcher:
            with pytest.raises(RuntimeError, match="cannot"):
                await ask(batcher, -1)
            assert await ask(batcher, 1) == [1]

    asyncio.run(main())


def test_workers_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=30)

    class Meeting(Adding):
        def run(self, x: ModelInput) -> tuple[np.ndarray, np.ndarray]:
            meeting.wait()
            return super().run(x)

    async def main() -> None:
        async with batcher_of(Meeting(), workers=2) as batcher:
            assert await asyncio.gather(ask(batcher, 1), ask(batcher, 2)) == [[1], [2]]

    asyncio.run(main())


@pytest.mark.parametrize("num_windows", [1, 3, 5, 8])
def test_batches_for_a_gpu_are_filled_up_to_few_shapes(num_windows: int) -> None:
    runtime = Adding()
    engine = ThreadEngine(runtime, num_workers=1, max_batch=8, buckets=BUCKETS)
    engine.warm(windows(7))
    assert [len(batch) for batch in runtime.batches] == [1, 2, 4, 8]
    values = [float(k) for k in range(num_windows)]
    outputs: Outputs = asyncio.run(engine.run(windows(*values)))
    engine.close()
    assert outputs.logits[:, 0].tolist() == values
    assert len(outputs.representation) == num_windows
    assert len(runtime.batches[-1]) in (1, 2, 4, 8)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a niceness for each thread")
def test_the_network_stands_back_before_the_event_loop() -> None:
    seen: list[int] = []

    class Looking(Adding):
        def run(self, x: ModelInput) -> tuple[np.ndarray, np.ndarray]:
            seen.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().run(x)

    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    engine = ThreadEngine(Looking(), num_workers=1, max_batch=1)
    asyncio.run(engine.run(windows(1)))
    engine.close()
    assert seen == [min(usual + NICENESS, 19)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual


def test_the_engine_suits_the_runtime() -> None:
    cpu, gpu = Adding(), Adding()
    gpu.name = "made-up/CUDA"
    on_cpu, on_gpu = engine_for(cpu, workers=3), engine_for(gpu, workers=3)
    assert (on_cpu.num_workers, on_cpu.max_batch) == (3, 4)
    assert (on_gpu.num_workers, on_gpu.max_batch) == (1, 32)
    on_gpu.warm(windows(1))
    assert [len(batch) for batch in gpu.batches] == [1, 2, 4, 8, 16, 32]
    on_cpu.warm(windows(1))
    assert cpu.batches == []
    assert engine_for(cpu, workers=1, max_batch=9).max_batch == 9
