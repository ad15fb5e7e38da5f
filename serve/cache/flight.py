"""Computing once what several requests ask for at the same time.

The computation is a task of its own: whoever asked first may go away, and the others still get the
answer. It is cancelled when nobody waits any more. It has a feed of tokens, which everybody who
waits may follow.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from serve.token_feed import Follow, TokenFeed, follow_nothing

Value = TypeVar("Value")


class Landed(NamedTuple, Generic[Value]):
    """A value, and whether this caller was the one who started its computation."""

    value: Value
    is_leader: bool


@dataclass
class _Flight(Generic[Value]):
    task: asyncio.Task[Value]
    feed: TokenFeed
    num_waiters: int = 0


class SingleFlight(Generic[Value]):
    """Computations in flight by key, for one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[Value]] = {}

    async def run(
        self,
        key: str,
        compute: Callable[[TokenFeed], Awaitable[Value]],
        follow: Follow = follow_nothing,
    ) -> Landed[Value]:
        """The value of ``compute``, shared with everybody who asks for ``key`` meanwhile.

        Args:
            key: What is computed.
            compute: Gives the value, and the tokens it has on the way to the feed.
            follow: Is given that feed, or that of the computation that goes on already.
        """
        flight = self._flights.get(key)
        is_leader = flight is None
        if flight is None:
            flight = self._start(key, compute)
        flight.num_waiters += 1
        follow(flight.feed)
        try:
            return Landed(await asyncio.shield(flight.task), is_leader)
        finally:
            flight.num_waiters -= 1
            if flight.num_waiters == 0 and not flight.task.done():
                self._forget(key, flight)
                flight.task.cancel()

    def _start(self, key: str, compute: Callable[[TokenFeed], Awaitable[Value]]) -> _Flight[Value]:
        feed = TokenFeed()

        async def fly() -> Value:
            return await compute(feed)

        flight = _Flight(asyncio.create_task(fly()), feed)
        self._flights[key] = flight
        flight.task.add_done_callback(lambda _: self._forget(key, flight))
        return flight

    def _forget(self, key: str, flight: _Flight[Value]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
