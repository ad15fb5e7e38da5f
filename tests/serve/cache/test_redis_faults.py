"""Over HTTP nobody notices what becomes of Redis, but whoever asks how the service is."""

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from serve.schemas import StreamEvent
from tests.serve.asgi import parse_events
from tests.serve.conftest import Running, Start
from tools.fault_proxy import Fault, FaultProxy

FAULTS = [Fault.REFUSE, Fault.BLACK_HOLE, Fault.DELAY, Fault.CUT]
OF_THE_REQUEST = ("cache", "request_id")


async def break_redis(proxy: FaultProxy, fault: Fault) -> None:
    await proxy.set_fault(fault, delay_s=30.0, cut_bytes=8)


async def start_behind(start: Start, proxy: FaultProxy, **values: object) -> Running:
    """A service whose cache and rate limits are behind the proxy."""
    return await start(redis_url=SecretStr(proxy.url), rate_limit_per_minute=10_000, **values)


def questions(image: str) -> list[tuple[str, dict[str, Any]]]:
    """One of each kind, streamed and refused ones too."""
    return [
        ("caption", {"image": image}),
        ("caption", {"image": image, "policy": "full", "stream": True}),
        ("entailment", {"image": image, "hypothesis": "a wall"}),
        ("compare", {"image": image, "policies": ["full", "balanced"]}),
        ("embed", {"text": "a wall"}),
        ("tags", {"image": image}),
        ("caption", {"image": image, "policy": "unheard-of"}),
        ("caption", {"image": "bm90IGEgcGhvdG8="}),
    ]


def read(response: httpx.Response) -> dict[str, Any]:
    """The body; of a stream its tokens and answer."""
    if not response.headers["content-type"].startswith("text/event-stream"):
        return dict(response.json())
    events = parse_events(response.text)
    tokens = [token for event in events[:-1] for token in event.data["tokens"]]
    assert events[-1].name is StreamEvent.ANSWER
    return {"tokens": tokens, **events[-1].data}


def without_request(value: Any) -> Any:
    """What does not depend on which request it was, and on where the answer came from."""
    if isinstance(value, list):
        return [without_request(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: without_request(item) for name, item in value.items() if name not in OF_THE_REQUEST
    }


async def ask_all(running: Running, image: str) -> list[tuple[int, Any]]:
    """Status and answer of each question."""
    answers = []
    for task, body in questions(image):
        response = await running.client.post(f"/v1/{task}", json=body)
        answers.append((response.status_code, without_request(read(response))))
    return answers


@pytest.mark.parametrize("fault", FAULTS)
async def test_statuses_and_answers_are_the_same_without_redis_and_after(
    start: Start, proxy: FaultProxy, image: str, fault: Fault
) -> None:
    running = await start_behind(start, proxy)
    running.predictor.caption_parts = ("a", " wall")
    expected = await ask_all(running, image)
    assert [status for status, _ in expected] == [200] * 6 + [422] * 2

    await break_redis(proxy, fault)
    assert await ask_all(running, image) == expected
    health = await running.client.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert not health.json()["cache_is_up"]
    assert (await running.client.get("/readyz")).status_code == 200

    await proxy.set_fault(Fault.NONE)
    body = {"image": image}
    while (await running.client.post("/v1/caption", json=body)).json()["cache"] != "hit":
        await asyncio.sleep(0.02)  # nobody told it; it tries again by itself
    assert await ask_all(running, image) == expected
    while not (await running.client.get("/healthz")).json()["cache_is_up"]:
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault_that_comes_during_a_request_does_not_fail_it(
    start: Start, proxy: FaultProxy, image: str, fault: Fault
) -> None:
    running = await start_behind(start, proxy, is_gated=True)
    body = {"image": image, "policy": "full"}
    post = asyncio.create_task(running.client.post("/v1/caption", json=body))
    while running.service.engine.num_running < 1:
        await asyncio.sleep(0.005)
    await break_redis(proxy, fault)
    running.gate.open()
    response = await post
    assert (response.status_code, response.json()["cache"]) == (200, "miss")
    assert response.json()["caption"] == "8x6 never 8"
