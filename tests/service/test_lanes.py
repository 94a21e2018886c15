"""The queue: results, bounds by estimated wait, deadlines and clients that go."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.types import Message

from c2vl_serve.service.lanes import Lane
from c2vl_serve.service.problems import Problem


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("skeleton", workers=1, max_wait=0.5, first_guess=0.2)
    yield lane
    lane.close()


async def connected() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("unreachable: the event is never set")


class Blocker:
    """Work that lasts until it is released, and tells what became of it."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.release = threading.Event()
        self.abandoned: threading.Event | None = None

    def __call__(self, abandoned: threading.Event) -> str:
        self.abandoned = abandoned
        self.started.set()
        assert self.release.wait(5)
        return "done"


def test_the_result_and_the_error_come_back(lane: Lane) -> None:
    def fail(abandoned: threading.Event) -> None:
        raise KeyError("own error")

    async def main() -> None:
        assert await lane.run(lambda _: 41 + 1, receive=connected, deadline=None) == 42
        with pytest.raises(KeyError, match="own error"):
            await lane.run(fail, receive=connected, deadline=None)
        assert lane.estimated_wait == 0

    asyncio.run(main())


def test_it_refuses_what_would_wait_too_long(lane: Lane) -> None:
    async def main() -> None:
        blockers = [Blocker() for _ in range(3)]
        runs = [
            asyncio.create_task(lane.run(work, receive=connected, deadline=None))
            for work in blockers
        ]
        await asyncio.sleep(0.01)
        # One runs and two wait, 0.2 s each by the first guess: the next would wait 0.6 s.
        assert lane.estimated_wait == pytest.approx(0.6)
        with pytest.raises(Problem, match=r"skeleton requests would wait about 0\.6 s") as caught:
            await lane.run(Blocker(), receive=connected, deadline=None)
        assert caught.value.status == 503
        assert caught.value.headers == {"Retry-After": "1"}
        for work in blockers:
            work.release.set()
        assert await asyncio.gather(*runs) == ["done"] * 3

    asyncio.run(main())


def test_the_estimate_learns(lane: Lane) -> None:
    async def main() -> None:
        for _ in range(20):
            await lane.run(lambda _: None, receive=connected, deadline=None)
        blocker = Blocker()
        run = asyncio.create_task(lane.run(blocker, receive=connected, deadline=None))
        await asyncio.sleep(0.01)
        assert 0 < lane.estimated_wait < 0.05
        blocker.release.set()
        await run

    asyncio.run(main())


def test_one_giant_does_not_spoil_the_estimate(lane: Lane) -> None:
    async def main() -> None:
        for _ in range(30):
            await lane.run(lambda _: None, receive=connected, deadline=None)
        await lane.run(lambda _: time.sleep(0.3), receive=connected, deadline=None)
        blocker = Blocker()
        run = asyncio.create_task(lane.run(blocker, receive=connected, deadline=None))
        await asyncio.sleep(0.01)
        assert lane.estimated_wait < 0.02
        blocker.release.set()
        await run

    asyncio.run(main())


def test_what_did_not_start_in_time_is_given_up_whatever_was_estimated(lane: Lane) -> None:
    async def main() -> None:
        running, waiting = Blocker(), Blocker()
        first = asyncio.create_task(lane.run(running, receive=connected, deadline=None))
        await asyncio.sleep(0.01)
        with pytest.raises(Problem, match=r"did not start within 0\.5 s") as caught:
            await lane.run(waiting, receive=connected, deadline=None)
        assert caught.value.status == 503
        running.release.set()
        assert await first == "done"
        assert not waiting.started.is_set()

    asyncio.run(main())


def test_what_runs_may_take_longer_than_work_may_wait(lane: Lane) -> None:
    async def main() -> None:
        await lane.run(lambda _: time.sleep(0.7), receive=connected, deadline=None)

    asyncio.run(main())


def test_a_deadline_ends_the_wait_and_drops_the_work(lane: Lane) -> None:
    async def main() -> None:
        running, waiting = Blocker(), Blocker()
        first = asyncio.create_task(lane.run(running, receive=connected, deadline=None))
        await asyncio.sleep(0.01)
        soon = asyncio.get_running_loop().time() + 0.25
        with pytest.raises(Problem, match="X-Request-Timeout passed before") as caught:
            await lane.run(waiting, receive=connected, deadline=soon)
        assert caught.value.status == 503
        with pytest.raises(Problem, match="longer than the request allows"):
            await lane.run(waiting, receive=connected, deadline=soon)
        running.release.set()
        await first
        assert await lane.run(lambda _: "next", receive=connected, deadline=None) == "next"
        assert not waiting.started.is_set()

    asyncio.run(main())


def test_work_of_a_client_that_went_is_not_started_or_told_to_stop(lane: Lane) -> None:
    async def gone() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def main() -> None:
        running, waiting = Blocker(), Blocker()
        runs = [
            asyncio.create_task(lane.run(work, receive=gone, deadline=None))
            for work in (running, waiting)
        ]
        for run in runs:
            with pytest.raises(Problem, match="the client closed the connection"):
                await run
        assert running.abandoned is not None
        assert running.abandoned.is_set()
        running.release.set()
        await lane.run(lambda _: None, receive=connected, deadline=None)
        assert not waiting.started.is_set()
        assert lane.estimated_wait == 0

    asyncio.run(main())


def test_workers_work_at_the_same_time() -> None:
    lane = Lane("video", workers=2, max_wait=1.0, first_guess=0.1)
    meeting = threading.Barrier(2, timeout=5)

    async def main() -> None:
        begun = time.monotonic()
        both = [
            lane.run(lambda _: meeting.wait(), receive=connected, deadline=None) for _ in range(2)
        ]
        assert sorted(await asyncio.gather(*both)) == [0, 1]
        assert time.monotonic() - begun < 5

    asyncio.run(main())
    lane.close()
