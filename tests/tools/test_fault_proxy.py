"""The fault proxy does what each fault says, and heals."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from serve.cache.backends import EmbeddedServer
from tools.fault_proxy import Fault, FaultProxy

TIMEOUT_S = 0.1


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    server = EmbeddedServer()
    try:
        async with FaultProxy(server.url) as proxy:
            yield proxy
    finally:
        server.close()


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Redis]:
    client = Redis.from_url(
        proxy.url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    await client.set("key", b"0123456789")
    yield client
    await client.aclose()


async def test_bytes_pass_when_there_is_no_fault(proxy: FaultProxy, client: Redis) -> None:
    assert await client.get("key") == b"0123456789"
    assert proxy.num_connections == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.REFUSE, RedisConnectionError),
        (Fault.BLACK_HOLE, RedisTimeoutError),
        (Fault.CUT, RedisConnectionError),
    ],
)
async def test_fault_holds_for_open_connections_and_heals(
    proxy: FaultProxy, client: Redis, fault: Fault, error: type[Exception]
) -> None:
    await proxy.set_fault(fault, cut_bytes=8)
    for _ in range(2):
        with pytest.raises(error):
            await client.get("key")
    await proxy.set_fault(Fault.NONE)
    assert await client.get("key") == b"0123456789"


async def test_delay_holds_replies_back(proxy: FaultProxy, client: Redis) -> None:
    await proxy.set_fault(Fault.DELAY, delay_s=10 * TIMEOUT_S)
    with pytest.raises(RedisTimeoutError):
        await client.get("key")
    await proxy.set_fault(Fault.DELAY, delay_s=0.0)
    assert await client.get("key") == b"0123456789"


async def test_server_that_is_gone_ends_the_connection() -> None:
    async with FaultProxy("redis://127.0.0.1:1") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.split(":")[-1]))
        assert await reader.read(1) == b""
        writer.close()
