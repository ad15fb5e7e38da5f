"""Calls from an event loop: answers, busy services, refusals, and a service that is down."""

import httpx
import pytest

from app import async_client
from app.async_client import AsyncClient, retry_after_s
from app.client import Client
from app.errors import ServiceError
from serve.schemas import CaptionRequest, EntailmentRequest
from tests.app.conftest import MakeClient, answer_canned

REQUEST = CaptionRequest(image="cGhvdG8=")


def busy(seconds: str) -> httpx.Response:
    return httpx.Response(429, headers={"retry-after": seconds})


async def test_answers_are_those_of_the_service(client: Client) -> None:
    async with AsyncClient(client) as calls:
        caption = await calls.caption(REQUEST)
        label = await calls.entailment(EntailmentRequest(image="cGhvdG8=", hypothesis="A cat."))
    assert caption.caption == "a cat looks into the camera"
    assert label.label == "entailment"


async def test_key_is_sent(make_client: MakeClient) -> None:
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["authorization"])
        return answer_canned(request)

    async with AsyncClient(make_client(answer)) as calls:
        await calls.caption(REQUEST)
    assert sent == ["Bearer secret"]


async def test_busy_service_is_asked_again_after_the_time_it_names(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, waits = [busy("2"), busy("0.5")], []

    def answer(request: httpx.Request) -> httpx.Response:
        return answers.pop(0) if answers else answer_canned(request)

    async def wait(self: AsyncClient, wait_s: float) -> None:
        waits.append(wait_s)

    monkeypatch.setattr(AsyncClient, "_wait", wait)
    async with AsyncClient(make_client(answer)) as calls:
        answered = await calls.caption(REQUEST)
    assert (answered.caption, waits) == ("a cat looks into the camera", [2.0, 0.5])


async def test_service_that_stays_busy_is_given_up(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_client, "PATIENCE_S", 0.01)
    async with AsyncClient(make_client(lambda _: busy("0.01"))) as calls:
        with pytest.raises(ServiceError, match="status 429"):
            await calls.caption(REQUEST)
    assert calls.num_waiting == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "3600"}, async_client.MAX_WAIT_S),
        ({"retry-after": "Tue, 24 Nov 2026 18:00:00 GMT"}, async_client.FIRST_WAIT_S),
        ({}, async_client.FIRST_WAIT_S),
    ],
)
def test_wait_is_what_the_service_asks_for(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_s(httpx.Response(429, headers=headers)) == seconds


async def test_service_that_is_down_is_a_sentence(down_client: Client) -> None:
    async with AsyncClient(down_client) as calls:
        with pytest.raises(ServiceError, match="does not answer") as caught:
            await calls.caption(REQUEST)
    assert caught.value.request_id is None
