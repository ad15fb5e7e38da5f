"""Work ends when the client leaves."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from serve.errors import ClientGoneError
from serve.http.connection import while_connected


class Line:
    """A connection that the test ends."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.request = Request({"type": "http", "headers": []}, self.messages.get)

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


async def test_result_of_the_work_is_given() -> None:
    async def work() -> str:
        return "answer"

    assert await while_connected(Line().request, work()) == "answer"


async def test_error_of_the_work_is_raised() -> None:
    async def work() -> str:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        await while_connected(Line().request, work())


async def test_work_is_cancelled_when_the_client_leaves() -> None:
    line, was_cancelled = Line(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled.set()
            raise

    waiting = asyncio.create_task(while_connected(line.request, work()))
    await asyncio.sleep(0)
    line.leave()
    with pytest.raises(ClientGoneError, match="the client left"):
        await waiting
    await asyncio.wait_for(was_cancelled.wait(), 10)
