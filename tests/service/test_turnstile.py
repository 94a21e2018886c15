"""The turnstile: so many inside, in order, and no place is lost with those who leave."""

import asyncio

import pytest
from starlette.types import Message

from c2vl_serve.service.problems import Problem
from c2vl_serve.service.turnstile import Place, Turnstile


async def connected() -> Message:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits that long")


async def gone() -> Message:
    return {"type": "http.disconnect"}


def test_the_next_comes_in_when_one_leaves_in_order() -> None:
    async def main() -> None:
        turnstile, inside = Turnstile(2), []

        async def one(name: int, seconds: float) -> None:
            with await turnstile.enter(receive=connected, deadline=None) as place:
                inside.append(name)
                await asyncio.sleep(seconds)
                place.leave()
                place.leave()  # once is all that counts

        tasks = [asyncio.create_task(one(k, 0.2)) for k in range(5)]
        await asyncio.sleep(0)
        assert inside == [0]  # one in each turn of the loop
        for _ in range(5):
            await asyncio.sleep(0)
        assert (inside, turnstile.num_waiting) == ([0, 1], 3)
        await asyncio.gather(*tasks)
        assert (inside, turnstile.num_waiting) == ([0, 1, 2, 3, 4], 0)

    asyncio.run(main())


def test_who_leaves_before_takes_no_place() -> None:
    async def main() -> None:
        turnstile = Turnstile(1)
        place = await turnstile.enter(receive=connected, deadline=None)
        for _ in range(40):
            with pytest.raises(Problem, match="closed the connection"):
                await turnstile.enter(receive=gone, deadline=None)
        soon = asyncio.get_running_loop().time() + 0.01
        with pytest.raises(Problem, match="X-Request-Timeout passed"):
            await turnstile.enter(receive=connected, deadline=soon)
        last = asyncio.create_task(turnstile.enter(receive=connected, deadline=None))
        await asyncio.sleep(0)
        place.leave()
        assert isinstance(await last, Place)
        assert turnstile.num_waiting == 0

    asyncio.run(main())


def test_a_place_given_to_who_leaves_at_that_moment_goes_on() -> None:
    async def main() -> None:
        turnstile = Turnstile(1)
        place = await turnstile.enter(receive=connected, deadline=None)
        leaving = asyncio.create_task(turnstile.enter(receive=connected, deadline=None))
        staying = asyncio.create_task(turnstile.enter(receive=connected, deadline=None))
        await asyncio.sleep(0)
        place.leave()  # given to the first
        assert turnstile.num_waiting == 1
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert isinstance(await asyncio.wait_for(staying, 30), Place)

    asyncio.run(main())
