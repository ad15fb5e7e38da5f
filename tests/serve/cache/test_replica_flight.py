"""Two replicas on one real Valkey, and what becomes of them when it fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest

from serve.cache.backends import RedisBackend
from serve.cache.breaker import BreakerState
from serve.cache.metrics import CacheEvent
from serve.cache.replica_flight import ReplicaFlight, Shared
from serve.cache.result_cache import CachedAnswer, ResultCache
from tests.serve.asgi import wait_until
from tests.serve.cache.test_result_cache import ANSWER
from tools.fault_proxy import Fault, FaultProxy

TIMEOUT_S = 1.0  # longer than in service: a test may wait for its turn on a busy machine
OTHER = ANSWER.model_copy(update={"text": "computed here"})


def no_compute() -> Awaitable[CachedAnswer]:
    raise AssertionError("another replica has the answer")


async def compute_other() -> CachedAnswer:
    return OTHER


@pytest.fixture
async def caches(proxy: FaultProxy) -> AsyncIterator[list[ResultCache]]:
    """Those of two replicas."""
    caches = [ResultCache(RedisBackend(proxy.url, 60, TIMEOUT_S), "redis") for _ in range(2)]
    yield caches
    for cache in caches:
        await cache.aclose()


class Held:
    """A computation that a test lets go on."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def compute(self) -> CachedAnswer:
        self.has_begun.set()
        await self.may_end.wait()
        return ANSWER


async def begin(cache: ResultCache, lock_s: float = 5.0) -> tuple[Held, asyncio.Task[Shared]]:
    held = Held()
    task = asyncio.create_task(ReplicaFlight(cache, lock_s).run("key", held.compute))
    await held.has_begun.wait()
    return held, task


async def test_second_replica_gets_the_answer_of_the_first(caches: list[ResultCache]) -> None:
    held, first = await begin(caches[0])
    second = asyncio.create_task(ReplicaFlight(caches[1]).run("key", no_compute))
    await asyncio.sleep(0.05)
    assert not second.done()
    held.may_end.set()
    assert await first == Shared(ANSWER, is_from_elsewhere=False)
    assert await second == Shared(ANSWER, is_from_elsewhere=True)
    assert caches[1].counts[CacheEvent.COALESCED_REPLICAS] == 1


async def test_second_replica_computes_when_the_first_fails(caches: list[ResultCache]) -> None:
    _, first = await begin(caches[0])
    second = asyncio.create_task(ReplicaFlight(caches[1]).run("key", compute_other))
    first.cancel()
    assert await second == Shared(OTHER, is_from_elsewhere=False)


async def test_lock_of_a_dead_replica_expires(caches: list[ResultCache]) -> None:
    assert await caches[0].lock("key", "dead", 0.1)
    shared = await ReplicaFlight(caches[1]).run("key", compute_other)
    assert shared == Shared(OTHER, is_from_elsewhere=False)


async def test_waiting_for_a_slow_replica_is_bounded(caches: list[ResultCache]) -> None:
    assert await caches[0].lock("key", "slow", 60.0)
    shared = await ReplicaFlight(caches[1], lock_s=0.1).run("key", compute_other)
    assert shared == Shared(OTHER, is_from_elsewhere=False)
    assert caches[1].counts[CacheEvent.WAITED_IN_VAIN] == 1


async def test_a_lock_is_given_up_by_its_holder_alone(caches: list[ResultCache]) -> None:
    assert await caches[0].lock("key", "mine", 60.0)
    await caches[1].unlock("key", "yours")
    assert not await caches[1].lock("key", "yours", 60.0)
    await caches[0].unlock("key", "mine")
    assert await caches[1].lock("key", "yours", 60.0)


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.BLACK_HOLE, Fault.DELAY, Fault.CUT])
async def test_a_faulty_redis_means_computing(
    proxy: FaultProxy, caches: list[ResultCache], fault: Fault
) -> None:
    cache = caches[0]
    await cache.set("key", ANSWER)
    await proxy.set_fault(fault, delay_s=30.0)
    assert await cache.get("key") is None
    shared = await ReplicaFlight(cache).run("key", compute_other)
    assert shared == Shared(OTHER, is_from_elsewhere=False)
    assert cache.breaker_state is BreakerState.OPEN
    # Of get, lock, set and unlock the first fails and the others do not wait, or are a trial.
    assert cache.counts[CacheEvent.ERROR] + cache.counts[CacheEvent.SKIPPED] == 4

    await proxy.set_fault(Fault.NONE)
    assert await cache.check()
    assert await cache.get("key") == ANSWER


async def test_redis_that_dies_while_a_replica_waits_ends_its_wait(
    proxy: FaultProxy, caches: list[ResultCache]
) -> None:
    assert await caches[0].lock("key", "first", 60.0)
    second = asyncio.create_task(ReplicaFlight(caches[1]).run("key", compute_other))
    await asyncio.sleep(0.05)
    await proxy.set_fault(Fault.REFUSE)
    assert await second == Shared(OTHER, is_from_elsewhere=False)
    await wait_until(lambda: caches[1].breaker_state is BreakerState.OPEN)
