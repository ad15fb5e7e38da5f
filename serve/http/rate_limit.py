"""How many requests a caller may send in a minute.

The count slides over time and is kept in Redis, so that replicas share it; where there is no Redis,
or it does not answer, each replica counts for itself. A caller is told by a digest: neither a key
nor an address is stored.
"""

import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from serve.cache.backends import REDIS_TIMEOUT_S
from serve.cache.breaker import CircuitBreaker
from serve.errors import RateLimitedError
from serve.http.auth import caller_of
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

KEY_PREFIX = "offramp:rate"


class RateLimiter:
    """Counts requests by caller; belongs to one event loop."""

    def __init__(
        self, per_minute: int, redis_url: str | None, timeout_s: float = REDIS_TIMEOUT_S
    ) -> None:
        """Remembers the limit; it connects on first use.

        Args:
            per_minute: Requests a caller may send within any minute, about.
            redis_url: Where replicas share their counts; None: each has its own.
            timeout_s: How long Redis may take.
        """
        self._limit = RateLimitItemPerMinute(per_minute)
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared: SlidingWindowCounterRateLimiter | None = None
        self._pool: ConnectionPool | None = None
        self._breaker = CircuitBreaker()
        if redis_url is not None:
            self._pool = ConnectionPool.from_url(
                redis_url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
            )
            options: dict[str, Any] = {"connection_pool": self._pool}
            storage = RedisStorage(
                "async+redis://", implementation="redispy", key_prefix=KEY_PREFIX, **options
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)

    @classmethod
    def from_settings(cls, settings: ServeSettings) -> "RateLimiter | None":
        """The limiter the settings ask for; None: there is no limit."""
        if not settings.rate_limit_per_minute:
            return None
        return cls(settings.rate_limit_per_minute, settings.read_redis_url())

    async def admit(self, caller: str) -> None:
        """Counts one request.

        Raises:
            RateLimitedError: The caller has sent too many; it says when to come back.
        """
        retry_after_s = await self._count_shared(caller)
        if retry_after_s is None:
            retry_after_s = await self._count(self._local, caller)
        if retry_after_s:
            raise RateLimitedError(
                f"more than {self._limit.amount} requests in a minute; "
                f"try again in {retry_after_s} s",
                retry_after_s,
            )

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def _count_shared(self, caller: str) -> int | None:
        """As ``_count``; None when the shared count cannot be had."""
        if self._shared is None or not self._breaker.allows():
            return None
        try:
            retry_after_s = await self._count(self._shared, caller)
        except (RedisError, OSError) as error:
            self._breaker.failed()
            logger.warning("rate limits are counted by each replica for itself: %s", error)
            return None
        self._breaker.succeeded()
        return retry_after_s

    async def _count(self, counter: SlidingWindowCounterRateLimiter, caller: str) -> int:
        """0 when the request is within the limit, else seconds to wait."""
        if await counter.hit(self._limit, caller):
            return 0
        stats = await counter.get_window_stats(self._limit, caller)
        return max(1, math.ceil(stats.reset_time - time.time()))


def limit_rate(limiter: RateLimiter | None) -> Callable[..., Coroutine[Any, Any, None]]:
    """A dependency, after that of the keys, which counts a request against its caller."""

    async def check(request: Request) -> None:
        if limiter is not None:
            await limiter.admit(caller_of(request))

    return check
