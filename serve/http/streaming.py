"""Answers as server-sent events: tokens while they are decided, then the whole answer.

What cannot be answered before the first event is an HTTP error like any other; afterwards it is an
``error`` event, the last of its stream. Tokens that nobody saw being decided (from the cache, from
beams, from another replica) are sent before the answer, so that every stream holds all of them.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import BaseModel
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from model_core.errors import InputError
from serve.errors import InvalidInputError, ServiceError, error_answer
from serve.http.connection import while_connected
from serve.http.middleware import CLIENT_CLOSED_REQUEST, context_of
from serve.schemas import ErrorAnswer, StreamedToken, StreamEvent, TokenEvent
from serve.service import ServedAnswer
from serve.telemetry.failure_report import UNEXPECTED, describe_failure
from serve.token_feed import Follow, TokenReader

logger = logging.getLogger(__name__)

TOKEN_INTERVAL_S = 0.03
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

Ask = Callable[[Follow], Coroutine[Any, Any, ServedAnswer]]
Item = list[StreamedToken] | ServedAnswer


class Wording(Protocol):
    """How a stream is written down; one for each stream."""

    def tokens(self, tokens: list[StreamedToken]) -> bytes:
        """Tokens of the answer."""

    def answer(self, served: ServedAnswer) -> bytes:
        """The end of a stream that went well."""

    def error(self, error: ErrorAnswer) -> bytes:
        """The end of one that did not."""


class AnswerEvents:
    """Named events with our own bodies.

    Args:
        answer_of: The body that an answer has when it is not streamed.
    """

    def __init__(self, answer_of: Callable[[ServedAnswer], BaseModel]) -> None:
        self._answer_of = answer_of

    def tokens(self, tokens: list[StreamedToken]) -> bytes:
        return _encode_event(StreamEvent.TOKEN, TokenEvent(tokens=tokens))

    def answer(self, served: ServedAnswer) -> bytes:
        return _encode_event(StreamEvent.ANSWER, self._answer_of(served))

    def error(self, error: ErrorAnswer) -> bytes:
        return _encode_event(StreamEvent.ERROR, error)


async def watch(ask: Ask, interval_s: float = TOKEN_INTERVAL_S) -> AsyncGenerator[Item]:
    """Tokens as they are decided, then the answer; closing it cancels the question.

    Args:
        ask: Asks the question, and says which feed has the tokens.
        interval_s: Shortest time between two lists of tokens; only the last one, which comes with
            the answer, does not wait for it.
    """
    reader = TokenReader()
    task = asyncio.create_task(ask(reader.follow))
    task.add_done_callback(lambda done: _wake(reader, done))
    try:
        while not task.done():
            await reader.news.wait()
            reader.news.clear()
            tokens = [] if task.done() else reader.take()
            if tokens:
                yield tokens
                await asyncio.wait((task,), timeout=interval_s)
        served = task.result()
        rest = served.content.tokens[reader.num_taken :]
        if rest:
            yield rest
        yield served
    finally:
        reader.close()
        task.cancel()


def _wake(reader: TokenReader, done: asyncio.Task[ServedAnswer]) -> None:
    if not done.cancelled():
        done.exception()  # seen, even when the client is gone and nobody asks for it
    reader.news.set()


class EventStream(EventSourceResponse):
    """A response that closes what its events are made of, however it ends."""

    def __init__(self, events: AsyncGenerator[bytes], items: AsyncGenerator[Item]) -> None:
        super().__init__(events, headers=HEADERS)
        self._events = events
        self._items = items

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except ClientDisconnect:
            logger.debug("a client left its stream")
        finally:
            await self._events.aclose()
            await self._items.aclose()


async def respond_with_events(request: Request, ask: Ask, wording: Wording) -> Response:
    """The stream of an answer, once its first event is there.

    Args:
        request: Its body has been read.
        ask: Asks the question.
        wording: Of this stream alone.

    Raises:
        ServiceError, InputError: There is no first event.
    """
    items = watch(ask)
    first = await while_connected(request, _first(items))
    return EventStream(_events(request, first, items, wording), items)


def _encode(item: Item, wording: Wording) -> bytes:
    return wording.tokens(item) if isinstance(item, list) else wording.answer(item)


def _encode_event(name: StreamEvent, data: BaseModel) -> bytes:
    return format_sse_event(event=name, data_str=data.model_dump_json())


async def _first(items: AsyncGenerator[Item]) -> Item:
    return await anext(items)


async def _events(
    request: Request, first: Item, items: AsyncGenerator[Item], wording: Wording
) -> AsyncGenerator[bytes]:
    context = context_of(request)
    ok, context.status = context.status, CLIENT_CLOSED_REQUEST  # unless the end is reached
    failure: ServiceError
    try:
        yield _encode(first, wording)
        async for item in items:
            yield _encode(item, wording)
        context.status = ok
        return
    except (ServiceError, InputError) as error:
        failure = error if isinstance(error, ServiceError) else InvalidInputError(str(error))
    except Exception as error:  # noqa: BLE001 - the border of a stream that has begun
        logger.error("request %s failed: %s", context.request_id, describe_failure(error))
        failure = ServiceError(UNEXPECTED)
    context.status, context.error_code = failure.status, failure.code
    yield wording.error(
        error_answer(failure.status, failure.code, str(failure), context.request_id)
    )
