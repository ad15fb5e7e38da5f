"""A circuit breaker: what keeps failing is left alone for a while, then tried once.

It knows neither Redis nor a cache, and never sleeps: it says whether to try.
"""

import time
from collections.abc import Callable
from enum import Enum

FIRST_REST_S = 0.5
LONGEST_REST_S = 8.0


class BreakerState(Enum):
    """Whether calls go through."""

    CLOSED = "closed"
    """All of them."""
    HALF_OPEN = "half_open"
    """One, to see whether it is over."""
    OPEN = "open"
    """None, until the rest is over."""


class CircuitBreaker:
    """Opens with a failure; each failed trial doubles the rest, up to a limit.

    The first failure opens it, for whoever asks can do without and should not wait. It belongs to
    one event loop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._state = BreakerState.CLOSED
        self._rest_s = FIRST_REST_S
        self._rests_until = 0.0

    @property
    def state(self) -> BreakerState:
        """What holds now."""
        return self._state

    def allows(self) -> bool:
        """True when the caller may try; it must then report ``succeeded`` or ``failed``.

        A trial whose caller was cancelled reports nothing: another is due after the same rest.
        """
        if self._state is BreakerState.CLOSED:
            return True
        if self._clock() < self._rests_until:
            return False
        self._state = BreakerState.HALF_OPEN
        self._rests_until = self._clock() + self._rest_s
        return True

    def succeeded(self) -> None:
        """A call came through: closed, and the next rest is short again."""
        self._state = BreakerState.CLOSED
        self._rest_s = FIRST_REST_S

    def failed(self) -> None:
        """A call failed. Calls that were on their way when it opened do not lengthen the rest."""
        if self._state is BreakerState.OPEN:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)
        self._state = BreakerState.OPEN
        self._rests_until = self._clock() + self._rest_s
