"""Computing once what several replicas are asked for at the same time.

Whoever takes the short lock in the shared cache computes; the others look for the answer until it
is there, the lock is free, or their patience is over. A lock expires, so a replica that died
holds nobody up for longer; and a cache that does not answer means computing, not waiting.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from serve.cache.metrics import CacheEvent
from serve.cache.result_cache import CachedAnswer, ResultCache

LOCK_S = 5.0
FIRST_LOOK_S = 0.01
LONGEST_LOOK_S = 0.1


class Shared(NamedTuple):
    """An answer, and whether another replica computed it meanwhile."""

    content: CachedAnswer
    is_from_elsewhere: bool


class ReplicaFlight:
    """Computations in flight among the replicas that share a cache."""

    def __init__(self, cache: ResultCache, lock_s: float = LOCK_S) -> None:
        """Remembers the cache.

        Args:
            cache: Which all replicas share; one in memory has a single replica.
            lock_s: How long a lock holds, and how long others wait for its holder.
        """
        self._cache = cache
        self._lock_s = lock_s

    async def run(self, key: str, compute: Callable[[], Awaitable[CachedAnswer]]) -> Shared:
        """The answer of ``compute``, which is kept, or the one that another replica kept."""
        token = secrets.token_hex(16)
        if not await self._cache.lock(key, token, self._lock_s):
            found = await self._wait(key, token)
            if found is not None:
                return Shared(found, is_from_elsewhere=True)
        try:
            content = await compute()
            await self._cache.set(key, content)
        finally:
            await self._cache.unlock(key, token)
        return Shared(content, is_from_elsewhere=False)

    async def _wait(self, key: str, token: str) -> CachedAnswer | None:
        """The other replica's answer; None when this one has to compute."""
        pause_s = FIRST_LOOK_S
        try:
            async with asyncio.timeout(self._lock_s):
                while True:
                    await asyncio.sleep(pause_s)
                    pause_s = min(1.5 * pause_s, LONGEST_LOOK_S)
                    # The lock first: it is given up only after the answer was kept.
                    is_ours = await self._cache.lock(key, token, self._lock_s)
                    found = await self._cache.peek(key)
                    if found is not None or is_ours:
                        break
        except TimeoutError:
            self._cache.counts[CacheEvent.WAITED_IN_VAIN] += 1
            return None
        if found is not None:
            self._cache.counts[CacheEvent.COALESCED_REPLICAS] += 1
            if is_ours:
                await self._cache.unlock(key, token)
        return found
