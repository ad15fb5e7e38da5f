"""Computing once what several ask for at the same time."""

import asyncio

import pytest

from serve.cache.flight import SingleFlight
from serve.token_feed import TokenFeed


class Computation:
    """Waits until it is let go, and counts how often it ran."""

    def __init__(self) -> None:
        self.num_started = 0
        self.was_cancelled = False
        self.go = asyncio.Event()

    async def __call__(self, feed: TokenFeed) -> str:
        self.num_started += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return "value"


async def test_followers_share_the_value() -> None:
    flights: SingleFlight[str] = SingleFlight()
    work = Computation()
    tasks = [asyncio.create_task(flights.run("key", work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()
    landed = await asyncio.gather(*tasks)
    assert [(one.value, one.is_leader) for one in landed] == [
        ("value", True),
        ("value", False),
        ("value", False),
    ]
    assert work.num_started == 1


async def test_followers_get_the_answer_when_the_leader_leaves() -> None:
    flights: SingleFlight[str] = SingleFlight()
    work = Computation()
    leader = asyncio.create_task(flights.run("key", work))
    await asyncio.sleep(0)
    follower = asyncio.create_task(flights.run("key", work))
    await asyncio.sleep(0)
    leader.cancel()
    await asyncio.sleep(0)
    work.go.set()
    assert (await follower).value == "value"
    assert work.num_started == 1


async def test_nobody_waiting_cancels_the_computation() -> None:
    flights: SingleFlight[str] = SingleFlight()
    work = Computation()
    only = asyncio.create_task(flights.run("key", work))
    await asyncio.sleep(0.01)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    await asyncio.sleep(0)
    assert work.was_cancelled


async def test_error_reaches_everybody_and_is_not_kept() -> None:
    flights: SingleFlight[str] = SingleFlight()

    async def fail(feed: TokenFeed) -> str:
        await asyncio.sleep(0)
        raise LookupError("broken")

    async def succeed(feed: TokenFeed) -> str:
        return "fine"

    results = await asyncio.gather(
        flights.run("key", fail), flights.run("key", fail), return_exceptions=True
    )
    assert [type(result) for result in results] == [LookupError, LookupError]
    assert (await flights.run("key", succeed)).value == "fine"


async def test_everybody_follows_the_one_feed() -> None:
    flights: SingleFlight[str] = SingleFlight()
    work = Computation()
    followed: list[TokenFeed] = []
    tasks = [asyncio.create_task(flights.run("key", work, followed.append)) for _ in range(2)]
    await asyncio.sleep(0)
    work.go.set()
    await asyncio.gather(*tasks)
    assert len(followed) == 2
    assert followed[0] is followed[1]
