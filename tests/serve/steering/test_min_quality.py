"""Depth gives way before requests do, over HTTP."""

import asyncio
import re
from typing import Any

import pytest

from serve.steering.governor import Governor, Pressure
from tests.serve.conftest import Running, Start


@pytest.fixture
def pressing(monkeypatch: pytest.MonkeyPatch) -> None:
    pressure = property(lambda _: Pressure(at_s=0.0, level=1))
    monkeypatch.setattr(Governor, "pressure", pressure)


async def ask(running: Running, body: dict[str, Any], route: str = "caption") -> dict[str, Any]:
    answer: dict[str, Any] = (await running.client.post(f"/v1/{route}", json=body)).json()
    return answer


@pytest.mark.usefixtures("pressing")
async def test_answer_says_which_preset_it_got_and_why(running: Running, image: str) -> None:
    body = {"image": image, "policy": "balanced", "min_quality": "fast"}
    policy = (await ask(running, body))["policy"]
    assert (policy["name"], policy["asked"], policy["reason"]) == ("fast", "balanced", "load")
    metrics = (await running.client.get("/metrics")).text
    assert "offramp_governor_pressure 1.0" in metrics
    moved = (
        'offramp_preset_moves_total{asked="balanced",preset="fast",reason="load",task="caption"}'
    )
    assert f"{moved} 1.0" in metrics
    assert 'offramp_answers_total{preset="fast",task="caption"} 1.0' in metrics


@pytest.mark.usefixtures("pressing")
async def test_kept_answer_of_the_preset_asked_for_is_given_under_pressure(
    running: Running, image: str
) -> None:
    await ask(running, {"image": image, "policy": "balanced"})
    body = {"image": image, "policy": "balanced", "min_quality": "fast"}
    answer = await ask(running, body)
    assert (answer["cache"], answer["policy"]["name"]) == ("hit", "balanced")
    assert (answer["policy"]["asked"], answer["policy"]["reason"]) == (None, None)


@pytest.mark.usefixtures("pressing")
async def test_default_range_of_the_settings(start: Start, image: str) -> None:
    running = await start(default_min_quality="fast")
    assert (await ask(running, {"image": image}))["policy"]["name"] == "fast"
    named = {"image": image, "policy": "balanced"}
    assert (await ask(running, named))["policy"]["name"] == "balanced"


@pytest.mark.usefixtures("pressing")
@pytest.mark.parametrize("route", ["entailment", "embed", "tags"])
async def test_other_routes_move_too(running: Running, image: str, route: str) -> None:
    body = {"image": image, "policy": "balanced", "min_quality": "fast"}
    if route == "entailment":
        body["hypothesis"] = "a dog"
    assert (await ask(running, body, route))["policy"]["asked"] == "balanced"


@pytest.mark.usefixtures("pressing")
async def test_comparison_shows_what_was_named(start: Start, image: str) -> None:
    running = await start(default_min_quality="fast")
    body = {"image": image, "policies": ["full", "balanced"]}
    answers = (await ask(running, body, "compare"))["answers"]
    assert [answer["policy"]["name"] for answer in answers] == ["full", "balanced"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_quality": "mue"}, "min_quality: .*'full', 'quality', 'balanced' or 'fast'"),
        ({"policy": "fast", "min_quality": "full"}, "is safer than the policy 'fast'"),
        ({"policy": {}, "min_quality": "fast"}, "rules that are spelled out never change"),
    ],
)
async def test_wrong_range_is_refused(
    running: Running, image: str, fields: dict[str, Any], message: str
) -> None:
    response = await running.client.post("/v1/caption", json={"image": image, **fields})
    assert response.status_code == 422
    assert re.search(message, response.json()["error"]["message"])


async def test_requests_that_wait_raise_the_pressure(start: Start, image: str) -> None:
    running = await start(
        is_gated=True,
        governor=True,
        num_slots=1,
        cache=False,
        governor_high_delay_s=2e-3,
        governor_low_delay_s=1e-3,
        governor_raise_every_s=1e-3,
    )
    body = {"image": image, "policy": "balanced", "min_quality": "fast"}
    first = [asyncio.create_task(ask(running, body)) for _ in range(2)]
    async with asyncio.timeout(30):
        while not running.service.oversight.governor.pressure.level:
            running.gate.allow(1)
            await asyncio.sleep(0.01)
            first.append(asyncio.create_task(ask(running, body)))
    running.gate.open()
    assert (await ask(running, body))["policy"]["reason"] == "load"
    await asyncio.gather(*first)
