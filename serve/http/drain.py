"""Draining a replica: requests in flight go on to their end, new ones are told to come back."""

import asyncio
from collections.abc import AsyncIterator

from serve.errors import UnavailableError


class Drain:
    """Counts the requests in flight, and refuses new ones while it is on."""

    def __init__(self) -> None:
        self._num_in_flight = 0
        self._is_on = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def is_on(self) -> bool:
        """True while new requests are refused."""
        return self._is_on

    @property
    def num_in_flight(self) -> int:
        """Requests that were let in and have not ended."""
        return self._num_in_flight

    async def admit(self) -> AsyncIterator[None]:
        """Counts one request; a dependency of the routes that ask the model.

        Raises:
            UnavailableError: The replica is being drained.
        """
        if self._is_on:
            raise UnavailableError("this replica is being drained; try again in a moment")
        self._num_in_flight += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._num_in_flight -= 1
            if not self._num_in_flight:
                self._is_idle.set()

    def stop(self) -> None:
        """Lets requests in again."""
        self._is_on = False

    async def start(self, timeout_s: float) -> bool:
        """Refuses new requests from now on; True once the others have ended, False after a time."""
        self._is_on = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_idle.wait()
        except TimeoutError:
            return False
        return True
