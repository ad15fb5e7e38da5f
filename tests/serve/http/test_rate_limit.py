"""Requests of a caller in a minute: shared by replicas, and counted here when Redis is gone."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from serve.cache.backends import EmbeddedServer
from serve.errors import RateLimitedError
from serve.http.rate_limit import RateLimiter
from tests.serve.conftest import Start
from tools.fault_proxy import Fault, FaultProxy

TIMEOUT_S = 1.0  # longer than in service: a test may wait for its turn on a busy machine


@pytest.fixture
async def replicas(proxy: FaultProxy) -> AsyncIterator[list[RateLimiter]]:
    limiters = [RateLimiter(4, proxy.url, TIMEOUT_S) for _ in range(2)]
    yield limiters
    for limiter in limiters:
        await limiter.aclose()


async def admitted(limiter: RateLimiter, caller: str, number: int) -> int:
    """How many of ``number`` requests are let through."""
    passed = 0
    for _ in range(number):
        with suppress(RateLimitedError):
            await limiter.admit(caller)
            passed += 1
    return passed


async def test_replicas_share_the_count_and_callers_do_not(replicas: list[RateLimiter]) -> None:
    assert await admitted(replicas[0], "one", 3) == 3
    assert await admitted(replicas[1], "one", 3) == 1
    assert await admitted(replicas[1], "two", 5) == 4


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.BLACK_HOLE])
async def test_without_redis_each_replica_counts_for_itself(
    replicas: list[RateLimiter], proxy: FaultProxy, fault: Fault
) -> None:
    await proxy.set_fault(fault)
    assert [await admitted(limiter, "one", 5) for limiter in replicas] == [4, 4]


async def test_refusal_says_when_to_come_back() -> None:
    limiter = RateLimiter(4, None)
    assert await admitted(limiter, "one", 5) == 4
    with pytest.raises(RateLimitedError, match="more than 4 requests in a minute; try") as caught:
        await limiter.admit("one")
    assert 1 <= caught.value.retry_after_s <= 60


async def test_too_many_requests_of_a_key_are_429(start: Start) -> None:
    running = await start(api_keys="first-key,second-key", rate_limit_per_minute=2)

    async def ask(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return (await running.client.get("/v1/model", headers=headers)).status_code

    assert [await ask("first-key") for _ in range(3)] == [200, 200, 429]
    assert [await ask("second-key"), await ask("wrong")] == [200, 401]
    headers = {"Authorization": "Bearer first-key"}
    refused = await running.client.get("/v1/model", headers=headers)
    assert refused.json()["error"]["code"] == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (await running.client.get("/healthz")).status_code == 200


async def test_without_keys_an_address_is_a_caller(start: Start) -> None:
    running = await start(rate_limit_per_minute=1)
    found = [(await running.client.get("/v1/model")).status_code for _ in range(2)]
    assert found == [200, 429]


async def test_keys_are_not_stored(start: Start, valkey: EmbeddedServer) -> None:
    running = await start(api_keys="a-secret", rate_limit_per_minute=5, redis_url=valkey.url)
    headers = {"Authorization": "Bearer a-secret"}
    assert (await running.client.get("/v1/model", headers=headers)).status_code == 200
    async with Redis.from_url(valkey.url) as client:
        names = await client.keys("*")
    assert names and not any(b"a-secret" in name for name in names)
    assert all(b"offramp:rate" in name for name in names)


async def test_there_is_no_limit_unless_asked(start: Start) -> None:
    running = await start()
    found = {(await running.client.get("/v1/model")).status_code for _ in range(20)}
    assert found == {200}
