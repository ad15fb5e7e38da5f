"""Tokens of an answer in the making, on their way from the engine's thread to whoever watches.

A feed belongs to one computation and keeps its tokens, so that who comes late reads from the start.
A reader belongs to one client and takes what is new when the client can have it: a slow one is
given more at a time, the engine's thread never waits, and nothing is kept but the answer's tokens.
"""

import asyncio
from collections.abc import Callable

from model_core.types import StepEvent
from serve.schemas import StreamedToken


class TokenFeed:
    """The tokens of one computation; belongs to the event loop that it is made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: list[StepEvent] = []
        self._readers: set[asyncio.Event] = set()

    def add(self, event: StepEvent) -> None:
        """Keeps a token and wakes the readers; for the engine's thread."""
        self._events.append(event)
        if self._readers:
            self._loop.call_soon_threadsafe(self._wake)

    def after(self, num_tokens: int) -> list[StreamedToken]:
        """The tokens there are beyond the first ``num_tokens``."""
        return [
            StreamedToken(text=event.added_text, depth=event.depth)
            for event in self._events[num_tokens:]
        ]

    def join(self, reader: asyncio.Event) -> None:
        """Sets ``reader`` now, and whenever there is more."""
        self._readers.add(reader)
        reader.set()

    def leave(self, reader: asyncio.Event) -> None:
        """Sets ``reader`` no more."""
        self._readers.discard(reader)

    def _wake(self) -> None:
        for reader in self._readers:
            reader.set()


Follow = Callable[[TokenFeed], None]
"""Told which feed to read an answer's tokens from, if it is being computed."""


def follow_nothing(feed: TokenFeed) -> None:
    """For who waits for the whole answer."""


class TokenReader:
    """What one client has been given of an answer's tokens.

    Attributes:
        news: Set when there may be more to take.
        num_taken: Tokens that have been taken.
    """

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.num_taken = 0
        self._feed: TokenFeed | None = None

    def follow(self, feed: TokenFeed) -> None:
        """Reads on in ``feed``: the first one, or another that computes the same answer again."""
        self.close()
        self._feed = feed
        feed.join(self.news)

    def take(self) -> list[StreamedToken]:
        """The tokens that are new; empty when there are none."""
        tokens = [] if self._feed is None else self._feed.after(self.num_taken)
        self.num_taken += len(tokens)
        return tokens

    def close(self) -> None:
        """Follows nothing any more."""
        if self._feed is not None:
            self._feed.leave(self.news)
            self._feed = None
