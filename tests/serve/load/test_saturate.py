"""The closed loop: everybody asks again when answered, until the time or the calls are over."""

import asyncio
import itertools
from collections.abc import Iterator

from serve.load.calls import Call
from serve.load.client import Reply
from serve.load.run import Clock
from serve.load.saturate import saturate


class Time(Clock):
    """Stands still unless a call lets it pass."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


def calls() -> Iterator[Call]:
    return (Call(0.0, "tags", "/v1/tags", b"%d" % index) for index in itertools.count())


async def test_caller_asks_until_the_time_is_over() -> None:
    clock = Time()

    async def takes_two_seconds(_: Call) -> Reply:
        clock.time += 2.0
        return Reply(429)

    found = await saturate(takes_two_seconds, calls(), 1, 5.0, clock)
    assert [(one.due_s, one.latency_s) for one in found.outcomes] == [(0, 2), (2, 2), (4, 2)]
    assert (found.seconds, found.answered_per_s) == (6.0, 0.0)


async def test_so_many_calls_are_under_way_at_once() -> None:
    under_way, most = 0, 0

    async def counts(_: Call) -> Reply:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return Reply(429)

    found = await saturate(counts, itertools.islice(calls(), 20), 4, 60.0)
    assert (most, len(found.outcomes)) == (4, 20)
