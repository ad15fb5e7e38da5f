"""The client tries again when the service is busy or its replica is gone, and only then."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from serve.load.calls import Call
from serve.load.client import NO_ANSWER, LoadClient, Reply, RetryRule

CALL = Call(0.0, "caption", "/v1/caption", b'{"image": ""}')
BOTH = RetryRule(num_busy=2, num_broken=1, pause_s=0.5)


def make_app(answers: list[tuple[int, dict[str, str]]]) -> FastAPI:
    """Gives these answers in turn."""
    app, left = FastAPI(), list(answers)

    @app.post("/v1/caption")
    async def caption(request: Request) -> Response:
        status, headers = left.pop(0)
        return Response(await request.body(), status, headers)

    return app


async def send(
    transport: httpx.AsyncBaseTransport, retries: RetryRule
) -> tuple[Reply, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with LoadClient(
        "http://test", retries=retries, transport=transport, sleep=sleep
    ) as client:
        return await client.send(CALL), waits


async def ask(
    answers: list[tuple[int, dict[str, str]]], retries: RetryRule
) -> tuple[Reply, list[float]]:
    return await send(httpx.ASGITransport(make_app(answers)), retries)


async def test_busy_service_is_asked_again_when_it_says() -> None:
    reply, waits = await ask([(429, {"retry-after": "3"}), (503, {}), (200, {})], BOTH)
    assert (reply.status, reply.statuses, reply.body) == (200, (429, 503, 200), CALL.body)
    assert waits == [3.0, 0.5]


async def test_broken_request_is_sent_once_more() -> None:
    reply, waits = await ask([(500, {}), (200, {})], BOTH)
    assert (reply.status, reply.statuses, waits) == (200, (500, 200), [0.5])


async def test_second_failure_is_the_reply() -> None:
    reply, _ = await ask([(500, {}), (502, {})], BOTH)
    assert (reply.status, reply.statuses) == (502, (500, 502))


@pytest.mark.parametrize("status", [422, 504])
async def test_what_another_attempt_cannot_change_is_not_sent_again(status: int) -> None:
    reply, waits = await ask([(status, {})], BOTH)
    assert (reply.status, reply.statuses, waits) == (status, (status,), [])


async def test_nothing_is_sent_again_unless_asked_for() -> None:
    reply, _ = await ask([(429, {"retry-after": "2"})], RetryRule())
    assert (reply.status, reply.retry_after_s) == (429, 2.0)


@pytest.mark.parametrize("text", ["Fri, 31 Dec 1999 23:59:59 GMT", "-1", "nan"])
async def test_unusable_retry_after_counts_as_none(text: str) -> None:
    reply, _ = await ask([(429, {"retry-after": text})], RetryRule())
    assert reply.retry_after_s is None


async def test_service_that_asks_for_an_hour_is_not_waited_for_that_long() -> None:
    _, waits = await ask([(429, {"retry-after": "3600"}), (200, {})], BOTH)
    assert waits == [30.0]


def broken(error: Callable[[str], Exception]) -> httpx.MockTransport:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise error("gone")

    return httpx.MockTransport(refuse)


async def test_connection_that_breaks_twice_is_no_answer() -> None:
    reply, _ = await send(broken(httpx.ReadError), BOTH)
    assert (reply.status, reply.statuses) == (NO_ANSWER, (NO_ANSWER, NO_ANSWER))
    assert reply.errors == ("ReadError", "ReadError")
