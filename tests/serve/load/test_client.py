"""The client tries again when the service is busy or its replica is gone, and only then."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from serve.load.calls import Call
from serve.load.client import NO_ANSWER, TIMEOUT, LoadClient, Reply, RetryRule

CALL = Call(0.0, "caption", "/v1/caption", b'{"image": ""}')
BOTH = RetryRule(num_busy=2, num_broken=1, pause_s=0.5)


Answer = Callable[[web.Request], Awaitable[web.Response]]


async def send(
    answer: Answer, retries: RetryRule, timeout_s: float = 20.0
) -> tuple[Reply, list[float]]:
    """The reply of a server that answers so, and the waits before further attempts."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    app = web.Application()
    app.router.add_post(CALL.path, answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        async with LoadClient(url, None, timeout_s, retries, sleep) as client:
            return await client.send(CALL), waits


async def ask(
    answers: list[tuple[int, dict[str, str]]], retries: RetryRule
) -> tuple[Reply, list[float]]:
    """Of a server that gives these answers in turn."""
    left = list(answers)

    async def answer(request: web.Request) -> web.Response:
        status, headers = left.pop(0)
        return web.Response(body=await request.read(), status=status, headers=headers)

    return await send(answer, retries)


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


async def test_connection_that_breaks_twice_is_no_answer() -> None:
    async def break_off(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    reply, waits = await send(break_off, BOTH)
    assert (reply.status, reply.statuses) == (NO_ANSWER, (NO_ANSWER, NO_ANSWER))
    assert (reply.errors, waits) == (("ServerDisconnectedError",) * 2, [0.5])


async def test_answer_that_does_not_come_is_a_timeout() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(20)
        return web.Response()

    reply, _ = await send(hang, RetryRule(), timeout_s=0.2)
    assert (reply.status, reply.errors) == (NO_ANSWER, (TIMEOUT,))
