"""A proxy that fails as networks and servers do, for tests of what stands before a Redis.

It listens on a port of this machine and passes bytes on to a Redis or Valkey, until a caller sets
another fault. A change holds at once, for connections that are open too.
"""

import asyncio
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CHUNK_BYTES = 65_536


class Fault(Enum):
    """What becomes of a connection."""

    NONE = "none"
    """Bytes pass both ways."""
    REFUSE = "refuse"
    """Nobody listens, and open connections end: the server is dead."""
    BLACK_HOLE = "black_hole"
    """Connections open and bytes are taken, but nothing comes back."""
    DELAY = "delay"
    """Every piece of a reply waits ``delay_s``."""
    CUT = "cut"
    """A reply ends, and its connection with it, after ``cut_bytes`` bytes."""


class FaultProxy:
    """Stands in front of the server at a URL; use it as an async context manager.

    Attributes:
        fault: What happens now; change it with ``set_fault``.
        delay_s: Seconds that a piece of a reply waits under ``Fault.DELAY``.
        cut_bytes: Bytes of a connection's replies that pass under ``Fault.CUT``.
        num_connections: Connections taken so far.
    """

    def __init__(self, target_url: str) -> None:
        """Remembers the server: ``redis://host:port`` or ``unix:///path``."""
        self.fault = Fault.NONE
        self.delay_s = 0.0
        self.cut_bytes = 1
        self.num_connections = 0
        self._target = urlsplit(target_url)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    @property
    def url(self) -> str:
        """What a Redis client connects to instead of the server."""
        return f"redis://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def set_fault(self, fault: Fault, delay_s: float = 0.0, cut_bytes: int = 1) -> None:
        """From now on connections, open ones included, have this fault."""
        self.fault, self.delay_s, self.cut_bytes = fault, delay_s, cut_bytes
        if fault is Fault.REFUSE:
            await self._close()
        elif self._server is None:
            await self._listen()

    async def open_target(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server behind.

        Raises:
            OSError: It is not there.
        """
        if self._target.scheme == "unix":
            return await asyncio.open_unix_connection(self._target.path)
        return await asyncio.open_connection(self._target.hostname, self._target.port or 6379)

    async def _listen(self) -> None:
        # The same port again after a refusal: clients know no other.
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        links = list(self._links)
        for link in links:
            link.task.cancel()
        await asyncio.gather(*(link.task for link in links), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        link = _Link(self, task)
        self._links.add(link)
        self.num_connections += 1
        # Cancelled by `_close`: ended here, or asyncio would report it as an error.
        with suppress(OSError, asyncio.CancelledError):
            await link.run(reader, writer)
        writer.transport.abort()
        self._links.discard(link)


class _Link:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, task: asyncio.Task[None]) -> None:
        self.task = task
        self._proxy = proxy

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes bytes until one side ends."""
        target_reader, target_writer = await self._proxy.open_target()
        ways = [
            asyncio.create_task(self._pass_requests(reader, target_writer)),
            asyncio.create_task(self._pass_replies(target_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # First, for the wait below may be cancelled.
            target_writer.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self._proxy.fault is Fault.BLACK_HOLE:
                continue
            writer.write(data)
            await writer.drain()

    async def _pass_replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        num_cut = 0
        while data := await reader.read(CHUNK_BYTES):
            if self._proxy.fault is Fault.BLACK_HOLE:
                continue
            if self._proxy.fault is Fault.DELAY:
                await asyncio.sleep(self._proxy.delay_s)
            if self._proxy.fault is Fault.CUT:
                data = data[: self._proxy.cut_bytes - num_cut]
                num_cut += len(data)
            writer.write(data)
            await writer.drain()
            if self._proxy.fault is Fault.CUT and num_cut >= self._proxy.cut_bytes:
                return
