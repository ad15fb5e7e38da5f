"""A request's own time limit, `timeout_s`."""

import asyncio
import re
from typing import Any

import pytest

from serve.errors import DeadlineExceededError
from tests.serve.conftest import Running, Start

ROUTES: dict[str, dict[str, str]] = {
    "caption": {},
    "entailment": {"hypothesis": "a dog"},
    "embed": {},
    "tags": {},
}


def chat_body(image: str) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": image}}
    return {"model": "offramp", "messages": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize("route", [*ROUTES, "chat/completions"])
async def test_no_answer_in_the_requests_own_time_is_504(
    start: Start, image: str, route: str
) -> None:
    running = await start(is_gated=True)
    body = chat_body(image) if route not in ROUTES else {"image": image, **ROUTES[route]}
    response = await running.client.post(f"/v1/{route}", json={**body, "timeout_s": 0.2})
    assert response.status_code == 504
    error = response.json()["error"]
    assert error["code"] == "deadline_exceeded"
    assert error["message"] == "no answer within 0.2 s; try again later"


async def test_stream_without_a_token_in_time_is_504(start: Start, image: str) -> None:
    running = await start(is_gated=True)
    body = {"image": image, "stream": True, "timeout_s": 0.2}
    assert (await running.client.post("/v1/caption", json=body)).status_code == 504


async def test_answer_in_time_is_given(running: Running, photo: bytes) -> None:
    form = {"timeout_s": "20"}
    response = await running.client.post("/v1/caption", data=form, files={"image": photo})
    assert response.status_code == 200


async def test_who_has_more_time_gets_the_answer_that_both_wait_for(
    start: Start, photo: bytes
) -> None:
    running = await start(is_gated=True)
    service = running.service
    question, policy = (
        await service.question("caption", photo),
        service.policies.choose(None, "caption"),
    )
    hurried = asyncio.create_task(service.answer(question, policy, timeout_s=0.3))
    patient = asyncio.create_task(service.answer(question, policy))
    with pytest.raises(DeadlineExceededError, match=r"no answer within 0\.3 s"):
        await hurried
    running.gate.open()
    assert (await patient).cache == "coalesced"
    assert len(running.slots.admitted) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, r"timeout_s: .*greater than 0"),
        (-1, r"timeout_s: .*greater than 0"),
        ("soon", r"timeout_s: .*number"),
        (30.5, r"timeout_s: 30\.5 is too long .* more than 0, and at most 30"),
        (1e300, r"timeout_s: 1e\+300 is too long"),
    ],
)
async def test_time_that_cannot_be_given_is_refused(
    running: Running, image: str, value: object, message: str
) -> None:
    response = await running.client.post("/v1/caption", json={"image": image, "timeout_s": value})
    assert response.status_code == 422
    assert re.search(message, response.json()["error"]["message"])
