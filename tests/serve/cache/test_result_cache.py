"""What makes two requests the same, and a cache that never fails a request."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from PIL import Image
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import SecretStr
from redis.asyncio import Redis

from model_core.config import CatchUp, ExitConfig, load_preset
from model_core.policies import ConfidencePolicy, ExitSite, NeverPolicy, SimilarityPolicy
from model_core.types import Answer
from serve.cache.backends import EmbeddedServer, MemoryBackend, RedisBackend, ttl_of
from serve.cache.entry import seal_entry
from serve.cache.metrics import CacheEvent, watch_cache
from serve.cache.result_cache import (
    CachedAnswer,
    KeyParts,
    ResultCache,
    cache_key,
    hash_pixels,
    normalise_text,
)
from serve.settings import ServeSettings
from tests.serve.fakes import make_trace

PARTS = KeyParts(
    model_hash="m",
    preprocessing_version="1",
    numerics="float32, float32 weights",
    task="caption",
    pixels="p",
    texts={"hypothesis": None, "premise": None},
    decoding={"max_new_tokens": 8, "num_beams": 1},
    exits=ExitConfig(decoder=ConfidencePolicy(threshold=0.5)),
)
ANSWER = CachedAnswer.from_answer(Answer("caption", "a dog", (1,), {}, make_trace(["a", "dog"])))
NOBODY = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    "change",
    [
        {"model_hash": "other"},
        {"preprocessing_version": "2"},
        {"numerics": "float32, int8 weights"},
        {"task": "entailment"},
        {"pixels": "other"},
        {"texts": {"hypothesis": "a dog", "premise": None}},
        {"texts": {"hypothesis": None, "premise": "a dog"}},
        {"decoding": {"max_new_tokens": 9, "num_beams": 1}},
        {"decoding": {"max_new_tokens": 8, "num_beams": 4}},
        {"pixels": None},
        {"texts": {"text": "a dog"}},
        {"sites": (ExitSite.IMAGE,)},
        {"exits": ExitConfig()},
        {"exits": ExitConfig(decoder=ConfidencePolicy(threshold=0.51))},
        {"exits": ExitConfig(decoder=ConfidencePolicy(threshold=0.5, min_depth=2))},
        {"exits": ExitConfig(decoder=SimilarityPolicy(threshold=0.5))},
        {"exits": ExitConfig(image=SimilarityPolicy(threshold=0.5), decoder=PARTS.exits.decoder)},
        {"exits": ExitConfig(decoder=PARTS.exits.decoder, catch_up=CatchUp.COPY_HIDDEN)},
    ],
)
def test_everything_an_answer_depends_on_changes_the_key(change: dict[str, object]) -> None:
    assert cache_key(replace(PARTS, **change)) != cache_key(PARTS)


@pytest.mark.parametrize(
    "exits",
    [
        load_preset("full").for_task("caption"),
        ExitConfig(catch_up=CatchUp.COPY_HIDDEN),
        ExitConfig(decoder=NeverPolicy(min_depth=3)),
    ],
)
def test_full_depth_has_one_key_however_it_is_spelled(exits: ExitConfig) -> None:
    assert cache_key(replace(PARTS, exits=exits)) == cache_key(replace(PARTS, exits=ExitConfig()))


def test_only_the_sites_of_a_question_count() -> None:
    parts = replace(PARTS, sites=(ExitSite.IMAGE,))
    image = SimilarityPolicy(threshold=0.5)
    other_decoder = ExitConfig(image=image)
    assert cache_key(replace(parts, exits=other_decoder)) == cache_key(
        replace(parts, exits=ExitConfig(image=image, decoder=PARTS.exits.decoder))
    )
    assert cache_key(replace(parts, exits=other_decoder)) != cache_key(parts)


def test_pixels_decide_and_not_the_file() -> None:
    photo = Image.new("RGB", (4, 6), "red")
    assert hash_pixels(photo) == hash_pixels(photo.copy())
    assert hash_pixels(photo) != hash_pixels(Image.new("RGB", (6, 4), "red"))
    changed = photo.copy()
    changed.putpixel((0, 0), (254, 0, 0))
    assert hash_pixels(photo) != hash_pixels(changed)


def test_text_is_compared_composed_and_with_single_spaces() -> None:
    assert normalise_text("  a\tcafe\u0301\n dog ") == "a caf\u00e9 dog"


async def test_memory_keeps_the_newest_entries() -> None:
    backend = MemoryBackend(max_entries=2, ttl_s=60)
    for key in ("a", "b", "a", "c"):
        await backend.set(key, key.encode())
    assert [await backend.get(key) for key in ("a", "b", "c")] == [b"a", None, b"c"]


async def test_memory_forgets_after_its_time() -> None:
    backend = MemoryBackend(max_entries=2, ttl_s=0.0)
    await backend.set("a", b"a")
    assert await backend.get("a") is None


async def test_memory_is_bounded_in_bytes() -> None:
    backend = MemoryBackend(max_entries=9, ttl_s=60, max_bytes=10)
    for key, value in (("a", b"1234"), ("b", b"1234"), ("b", b"12345"), ("c", b"12345")):
        await backend.set(key, value)
    assert [await backend.get(key) for key in ("a", "b", "c")] == [None, b"12345", b"12345"]
    await backend.set("d", b"x" * 11)
    assert [await backend.get(key) for key in ("b", "c", "d")] == [None, None, None]


def test_entries_of_one_burst_expire_apart() -> None:
    times = [ttl_of(f"key {number}", 100.0) for number in range(1000)]
    assert 90.0 <= min(times) < 90.5 and 99.5 < max(times) <= 100.0
    assert len(set(times)) == 1000


async def test_answer_that_is_too_large_is_not_kept() -> None:
    cache = ResultCache(MemoryBackend(4, 60), "memory", max_entry_bytes=200)
    await cache.set("key", ANSWER)
    assert await cache.get("key") is None
    assert cache.counts == {CacheEvent.TOO_LARGE: 1, CacheEvent.MISS: 1}


async def test_stored_answer_comes_back_equal() -> None:
    cache = ResultCache(MemoryBackend(4, 60), "memory")
    await cache.set("key", ANSWER)
    assert await cache.get("key") == ANSWER


@pytest.mark.parametrize(
    "value", [b"\x80junk", b"{}", b'{"format_version": 99}', ANSWER.model_dump_json().encode()[:-9]]
)
async def test_entry_that_cannot_be_read_is_a_miss(value: bytes) -> None:
    backend = MemoryBackend(4, 60)
    await backend.set("key", seal_entry("key", value))
    cache = ResultCache(backend, "memory")
    assert await cache.get("key") is None
    assert cache.counts == {CacheEvent.CORRUPTED: 1, CacheEvent.MISS: 1}


async def test_dead_redis_is_a_miss_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    cache = ResultCache(RedisBackend(NOBODY, 60), "redis")
    with caplog.at_level(logging.WARNING):
        assert await cache.get("key") is None
        await cache.set("key", ANSWER)
        assert not await cache.check()
    await cache.aclose()
    assert not cache.is_up
    assert [r.levelname for r in caplog.records if "is down" in r.message] == ["WARNING"]


async def test_silent_redis_costs_one_short_timeout() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cache = ResultCache(RedisBackend(f"redis://127.0.0.1:{port}", 60), "redis")
    started = asyncio.get_running_loop().time()
    for _ in range(3):
        assert await cache.get("key") is None
    seconds = asyncio.get_running_loop().time() - started
    await cache.aclose()
    server.close()
    await server.wait_closed()
    assert seconds < 1.0


@pytest.fixture
async def valkey() -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer()
    yield server
    server.close()


async def test_embedded_valkey_keeps_answers_and_may_die(valkey: EmbeddedServer) -> None:
    settings = ServeSettings(redis_url=SecretStr(valkey.url), cache_backend_name="embedded")
    cache = ResultCache.from_settings(settings)
    await cache.set("key", ANSWER)
    assert (cache.name, await cache.check(), await cache.get("key")) == ("embedded", True, ANSWER)
    valkey.close()
    assert await cache.get("key") is None
    assert not cache.is_up
    await cache.aclose()


async def plant_bytes(client: Redis) -> None:
    await client.set("key", ANSWER.model_dump_json())


async def plant_another_answer(client: Redis) -> None:
    await client.set("key", seal_entry("other", ANSWER.model_dump_json().encode()))


async def plant_a_list(client: Redis) -> None:
    await client.rpush("key", "a", "b")


@pytest.mark.parametrize("plant", [plant_bytes, plant_another_answer, plant_a_list])
async def test_planted_value_is_a_miss_and_overwritten(
    valkey: EmbeddedServer, plant: Callable[[Redis], Awaitable[None]]
) -> None:
    cache = ResultCache(RedisBackend(valkey.url, 60, timeout_s=1.0), "redis")
    async with Redis.from_url(valkey.url) as client:
        await plant(client)
        assert await cache.get("key") is None
        assert (cache.is_up, cache.counts[CacheEvent.CORRUPTED]) == (True, 1)
        await cache.set("key", ANSWER)
        assert await cache.get("key") == ANSWER
        assert 53_000 < await client.pttl("key") <= 60_000
    await cache.aclose()


async def test_cache_heals_when_redis_is_back(valkey: EmbeddedServer) -> None:
    cache = ResultCache(RedisBackend(valkey.url, 60, timeout_s=1.0), "redis")
    await cache.set("key", ANSWER)
    valkey.stop()
    assert await cache.get("key") is None
    valkey.start()
    while not cache.is_up:
        await cache.set("key", ANSWER)
        await asyncio.sleep(0.01)
    assert await cache.get("key") == ANSWER
    await cache.aclose()


async def test_counts_are_metrics() -> None:
    cache, registry = ResultCache(MemoryBackend(4, 60), "memory"), CollectorRegistry()
    watch_cache(registry, cache)
    await cache.set("key", ANSWER)
    for key in ("key", "key", "other"):
        await cache.get(key)
    text = generate_latest(registry).decode()
    for line in (
        'offramp_result_cache_events_total{event="hit"} 2.0',
        'offramp_result_cache_events_total{event="miss"} 1.0',
        'offramp_result_cache_events_total{event="corrupted"} 0.0',
        'offramp_result_cache_breaker{state="closed"} 1.0',
        'offramp_result_cache_breaker{state="open"} 0.0',
    ):
        assert line in text


def test_settings_choose_the_backend() -> None:
    names = [
        ResultCache.from_settings(settings).name
        for settings in (
            ServeSettings(),
            ServeSettings(cache=False),
            ServeSettings(redis_url=SecretStr(NOBODY)),
        )
    ]
    assert names == ["memory", "off", "redis"]
