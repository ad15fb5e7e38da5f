"""What Cache-Control asks of the cache, and that it gets it."""

import pytest

from serve.cache.cache_control import CacheUse, read_cache_control
from tests.serve.conftest import Running


@pytest.mark.parametrize(
    ("header", "use"),
    [
        ("", CacheUse()),
        ("max-age=0", CacheUse()),
        ("no-cache", CacheUse(may_read=False)),
        ("No-Store", CacheUse(may_keep=False)),
        ("no-cache , no-store", CacheUse(may_read=False, may_keep=False)),
        ("x-no-cache", CacheUse()),
    ],
)
def test_directives(header: str, use: CacheUse) -> None:
    assert read_cache_control(header) == use


async def states(running: Running, image: str, *headers: str) -> list[str]:
    """Cache states of one request sent with each ``Cache-Control``."""
    answers = [
        await running.client.post(
            "/v1/caption", json={"image": image}, headers={"Cache-Control": header}
        )
        for header in headers
    ]
    return [answer.json()["cache"] for answer in answers]


async def test_no_store_is_not_kept_but_reads(running: Running, image: str) -> None:
    found = await states(running, image, "no-store", "no-store", "", "no-store")
    assert found == ["off", "off", "miss", "hit"]


async def test_no_cache_does_not_read_but_is_kept(running: Running, image: str) -> None:
    assert await states(running, image, "no-cache", "no-cache", "") == ["off", "off", "hit"]
    assert len(running.predictor.requests) == 2


async def test_both_leave_no_trace(running: Running, image: str) -> None:
    both = "no-cache, no-store"
    assert await states(running, image, both, "", both) == ["off", "miss", "off"]
