"""An application as a server sees it: its requests message by message, or a port of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import uvicorn
from starlette.types import ASGIApp, Message

from serve.cluster.ports import free_port
from serve.schemas import StreamEvent

WAIT_S = 10.0


class Event(NamedTuple):
    """A server-sent event, its data read."""

    name: StreamEvent
    data: dict[str, Any]


def parse_events(body: str) -> list[Event]:
    """The events of a whole stream, each a name and one line of data."""
    events = []
    for block in body.split("\n\n")[:-1]:
        name, data = block.split("\n")
        assert name.startswith("event: ") and data.startswith("data: ")
        event = StreamEvent(name.removeprefix("event: "))
        events.append(Event(event, json.loads(data.removeprefix("data: "))))
    return events


async def wait_until(condition: Callable[[], bool]) -> None:
    """Returns once it is so; the test fails when that takes too long."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[int]:
    """The port on which the application is served."""
    port = free_port()
    config = uvicorn.Config(app, "127.0.0.1", port, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield port
    finally:
        server.should_exit = True
        await task


class Connection:
    """A POST of JSON to an application.

    Args:
        spec_version: From 2.4 on a server says that the client is gone by failing to send.
        before_send: Awaited with each message: a slow client takes its time here.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        body: dict[str, Any],
        spec_version: str = "2.3",
        before_send: Callable[[Message], Any] | None = None,
    ) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self._is_gone = False
        self._spec_version = spec_version
        self._before_send = before_send
        content = json.dumps(body).encode()
        self._incoming.put_nowait({"type": "http.request", "body": content, "more_body": False})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": spec_version},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"host", b"test")],
        }
        self.task = asyncio.create_task(app(scope, self._incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        if self._is_gone and self._spec_version >= "2.4":
            raise OSError("the client is gone")
        if self._before_send is not None:
            await self._before_send(message)
        await self._outgoing.put(message)

    async def message(self) -> Message:
        """The next message that the application sends."""
        return await asyncio.wait_for(self._outgoing.get(), WAIT_S)

    async def event(self) -> Event:
        """The next event of the stream; the head of the answer is passed over."""
        message = await self.message()
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
            message = await self.message()
        (event,) = parse_events(message["body"].decode())
        return event

    def leave(self) -> None:
        """Ends the connection, as a client that goes away does."""
        self._is_gone = True
        self._incoming.put_nowait({"type": "http.disconnect"})
