"""Bodies that trickle, break off or lie about their length, over a real socket and without one."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.serve.asgi import listening
from tests.serve.conftest import Running, Start

pytestmark = pytest.mark.timeout(60)  # what is tested here hangs when it fails

HEAD = (
    b"POST /v1/caption HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)
BEGINNINGS = [
    HEAD % 10_000 + b'{"image": "',
    HEAD.replace(b"application/json", b"multipart/form-data; boundary=b") % 10_000
    + b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n',
]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that the client's side closes, whatever the server did to it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and error code of a response that the server ends with its connection."""
    answer = b""
    with suppress(ConnectionResetError):  # what was sent after the answer is never read
        while data := await reader.read(65_536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_body_that_trickles_is_408(start: Start, beginning: bytes) -> None:
    running = await start(body_timeout_s=0.3)
    async with listening(running.app) as port, connected(port) as (reader, writer):
        writer.write(beginning)
        answer = asyncio.create_task(read_answer(reader))
        while not answer.done():  # a byte now and then does not renew the time
            writer.write(b"x")
            await asyncio.sleep(0.01)
        assert await answer == (408, "body_timeout")


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_client_that_leaves_in_its_body_is_no_failure(
    running: Running, beginning: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="serve"):
        async with listening(running.app) as port:
            async with connected(port) as (_, writer):
                writer.write(beginning)
                await writer.drain()
            lines: list[str] = []
            while not lines:
                await asyncio.sleep(0.005)
                lines = [one.getMessage() for one in caplog.records if one.name.startswith("serve")]
    assert len(lines) == 1 and "status=499" in lines[0]
    assert running.predictor.requests == []


async def test_time_for_the_body_ends_with_the_body(start: Start, image: str) -> None:
    running = await start(is_gated=True, body_timeout_s=0.05)
    post = asyncio.create_task(running.client.post("/v1/caption", json={"image": image}))
    while running.service.engine.num_running < 1:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    running.gate.open()
    assert (await post).status_code == 200
