"""Streams of answers: what is sent when, and what happens when somebody leaves or fails."""

import asyncio
import json
import logging
from typing import Any

import pytest
from starlette.types import Message

from model_core.config import ExitConfig
from model_core.types import Answer, StepEvent
from serve import schemas
from serve.cache.result_cache import CachedAnswer
from serve.errors import EngineError
from serve.http.streaming import watch
from serve.policies.book import ChosenPolicy
from serve.schemas import StreamEvent
from serve.service import ServedAnswer
from serve.token_feed import Follow, TokenFeed
from tests.serve.asgi import WAIT_S, Connection, Event, parse_events, wait_until
from tests.serve.conftest import Running, Start
from tests.serve.fakes import make_trace

PARTS = ("a", " dog", ",", " runs", "")
CAPTION = "a dog, runs"
PRIVATE = "said in confidence"


def texts(tokens: list[schemas.StreamedToken]) -> list[str]:
    return [token.text for token in tokens]


def event_texts(event: Event) -> list[str]:
    assert event.name is StreamEvent.TOKEN
    return [token["text"] for token in event.data["tokens"]]


async def let_cancelled_work_end() -> None:
    """Rounds of the loop for a cancellation to come down to the engine, before the next step."""
    for _ in range(20):
        await asyncio.sleep(0)


class Question:
    """An answer in the making, token by token as the test says."""

    def __init__(self) -> None:
        self.feed = TokenFeed()
        self.end = asyncio.Event()
        self.was_cancelled = False
        answer = Answer("caption", CAPTION, (), {}, make_trace(PARTS), text_parts=PARTS)
        content = CachedAnswer.from_answer(answer)
        self.answer = ServedAnswer(content, "miss", ChosenPolicy("full", ExitConfig()))

    async def ask(self, follow: Follow) -> ServedAnswer:
        follow(self.feed)
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return self.answer

    def add(self, *parts: str) -> None:
        for part in parts:
            self.feed.add(StepEvent(0, part, 2, is_finished=False))


async def test_tokens_that_came_together_are_one_event() -> None:
    question = Question()
    items = watch(question.ask, interval_s=0.0)
    question.add("a", " dog")
    assert texts(await anext(items)) == ["a", " dog"]
    question.add(",")
    assert texts(await anext(items)) == [","]
    await items.aclose()


async def test_nothing_is_sent_within_the_interval_but_the_end_does_not_wait() -> None:
    question = Question()
    items = watch(question.ask, interval_s=3600.0)
    question.add("a")
    assert texts(await anext(items)) == ["a"]
    question.add(" dog", ",")
    following = asyncio.create_task(anext(items))
    await asyncio.sleep(0.05)
    assert not following.done()
    question.add(" runs")
    question.end.set()
    assert texts(await following) == [" dog", ",", " runs", ""]
    assert await anext(items) is question.answer
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_tokens_nobody_saw_come_before_the_answer() -> None:
    question = Question()
    question.end.set()
    items = [item async for item in watch(question.ask)]
    assert texts(items[0]) == list(PARTS)
    assert items[1:] == [question.answer]


async def test_closing_the_stream_cancels_the_question() -> None:
    question = Question()
    items = watch(question.ask)
    question.add("a")
    await anext(items)
    await items.aclose()
    await wait_until(lambda: question.was_cancelled)


async def test_client_that_takes_nothing_is_kept_no_more_than_the_answer() -> None:
    """The engine's thread only appends: whether anybody reads does not matter to it."""
    question = Question()
    items = watch(question.ask)
    question.add("a")
    await anext(items)  # and never again, as with a client that does not read
    for part in PARTS[1:]:
        question.add(part)
    assert texts(question.feed.after(0)) == list(PARTS)
    await items.aclose()


# Over HTTP


def stream_body(image: str, **fields: Any) -> dict[str, Any]:
    return {"image": image, "stream": True, **fields}


async def events_of(running: Running, path: str, body: dict[str, Any]) -> list[Event]:
    response = await running.client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    return parse_events(response.text)


def joined(events: list[Event]) -> str:
    return "".join(text for event in events[:-1] for text in event_texts(event))


async def read_until(connection: Connection, text: str) -> None:
    """Takes token events until they say ``text``, and no more."""
    found = ""
    while found != text:
        found += "".join(event_texts(await connection.event()))
        assert text.startswith(found)


async def read_rest(connection: Connection) -> list[Event]:
    """The events up to the last one of the stream."""
    events = [await connection.event()]
    while events[-1].name is StreamEvent.TOKEN:
        events.append(await connection.event())
    return events


def same_but_for_request(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one | {"request_id": "", "cache": ""} == other | {"request_id": "", "cache": ""}


async def test_stream_ends_with_the_answer_that_is_not_streamed(
    running: Running, image: str
) -> None:
    running.predictor.caption_parts = PARTS
    events = await events_of(running, "/v1/caption", stream_body(image))
    assert [event.name for event in events][-1] is StreamEvent.ANSWER
    answer = schemas.CaptionAnswer.model_validate(events[-1].data)
    assert joined(events) == answer.caption == CAPTION
    streamed = [token for event in events[:-1] for token in event.data["tokens"]]
    depths = [token.depth for token in answer.trace.decoder.tokens]
    assert [token["depth"] for token in streamed] == depths
    plain = (await running.client.post("/v1/caption", json={"image": image})).json()
    assert same_but_for_request(events[-1].data, plain)
    assert (answer.cache, plain["cache"]) == ("miss", "hit")


async def test_cache_hit_replays_the_stream(running: Running, image: str) -> None:
    running.predictor.caption_parts = PARTS
    first = await events_of(running, "/v1/caption", stream_body(image))
    second = await events_of(running, "/v1/caption", stream_body(image))
    assert [event_texts(event) for event in second[:-1]] == [list(PARTS)]
    assert second[-1].data["cache"] == "hit"
    assert same_but_for_request(second[-1].data, first[-1].data)


async def test_entailment_streams_its_word(running: Running, image: str) -> None:
    events = await events_of(running, "/v1/entailment", stream_body(image, hypothesis="a dog"))
    assert [event_texts(event) for event in events[:-1]] == [["yes"]]
    assert schemas.EntailmentAnswer.model_validate(events[-1].data).label == "entailment"


async def test_stream_is_asked_for_by_a_form_too(running: Running, photo: bytes) -> None:
    response = await running.client.post(
        "/v1/caption", data={"stream": "true"}, files={"image": photo}
    )
    assert parse_events(response.text)[-1].name is StreamEvent.ANSWER


async def test_tokens_come_while_the_answer_is_decoded(start: Start, image: str) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = PARTS
    connection = Connection(running.app, "/v1/caption", stream_body(image))
    running.gate.allow(1)
    assert event_texts(await connection.event()) == ["a"]
    running.gate.allow(1)
    assert event_texts(await connection.event()) == [" dog"]
    running.gate.open()
    rest = await read_rest(connection)
    assert "a dog" + joined(rest) == rest[-1].data["caption"] == CAPTION
    await connection.task


async def test_beams_are_streamed_once_their_answer_is_known(start: Start, image: str) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = PARTS
    connection = Connection(running.app, "/v1/caption", stream_body(image, num_beams=2))
    running.gate.allow(2)
    await wait_until(lambda: running.service.engine.num_running == 2)
    assert connection._outgoing.empty()
    running.gate.open()
    assert event_texts(await connection.event()) == list(PARTS)
    assert (await connection.event()).data["caption"] == CAPTION
    await connection.task


async def test_coalesced_request_streams_the_tokens_there_are_and_goes_on(
    start: Start, image: str
) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = PARTS
    leader = asyncio.create_task(running.client.post("/v1/caption", json={"image": image}))
    await wait_until(lambda: running.service.engine.num_running == 1)
    running.gate.allow(2)
    follower = Connection(running.app, "/v1/caption", stream_body(image))
    await read_until(follower, "a dog")
    running.gate.allow(1)
    assert event_texts(await follower.event()) == [","]
    running.gate.open()
    events = await read_rest(follower)
    assert "a dog," + joined(events) == CAPTION
    assert events[-1].data["cache"] == "coalesced"
    assert (await leader).json()["cache"] == "miss"
    assert len(running.predictor.requests) == 1


async def test_failure_before_the_first_event_is_an_http_error(
    running: Running, image: str
) -> None:
    running.predictor.fails_at_step = True
    response = await running.client.post("/v1/caption", json=stream_body(image))
    assert response.status_code == 500
    assert response.json()["error"]["code"] == EngineError.code
    refused = await running.client.post("/v1/caption", json=stream_body(image, num_beams=99))
    assert refused.status_code == 422


async def test_failure_after_the_start_is_the_last_event(start: Start, image: str) -> None:
    running = await start(is_gated=True, request_timeout_s=0.5)
    running.predictor.caption_parts = PARTS
    connection = Connection(running.app, "/v1/caption", stream_body(image))
    running.gate.allow(1)
    assert event_texts(await connection.event()) == ["a"]
    event = await connection.event()
    assert event.name is StreamEvent.ERROR
    error = schemas.ErrorAnswer.model_validate(event.data).error
    assert (error.code, error.message) == (
        "deadline_exceeded",
        "no answer within 0.5 s; try again later",
    )
    await connection.task
    text = (await running.client.get("/metrics")).text
    assert 'offramp_requests_total{route="/v1/caption",status="504"} 1.0' in text


async def fail_after_the_start(start: Start, image: str, monkeypatch: pytest.MonkeyPatch) -> Event:
    """The last event of a stream in which something breaks that quotes private words."""
    running = await start(is_gated=True)
    running.predictor.caption_parts = PARTS
    connection = Connection(running.app, "/v1/caption", stream_body(image))
    running.gate.allow(1)
    await connection.event()

    def explode(*_: object) -> None:
        raise ZeroDivisionError(PRIVATE) from ValueError(PRIVATE)

    monkeypatch.setattr(running.service.metrics, "count_answer", explode)
    running.gate.open()
    event = (await read_rest(connection))[-1]
    await connection.task
    return event


async def test_unexpected_failure_after_the_start_is_told_without_its_words(
    start: Start, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await fail_after_the_start(start, image, monkeypatch)
    assert event.name is StreamEvent.ERROR
    assert event.data["error"]["code"] == "internal_error"
    assert PRIVATE not in json.dumps(event.data)


async def test_unexpected_failure_after_the_start_is_logged_without_its_words(
    start: Start, image: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="serve"):
        event = await fail_after_the_start(start, image, monkeypatch)
    (failure,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert failure.startswith(f"request {event.data['error']['request_id']} failed: ")
    assert "ZeroDivisionError at" in failure and "from ValueError at" in failure
    assert "in explode" in failure
    assert PRIVATE not in caplog.text


@pytest.mark.parametrize("path", ["/v1/tags", "/v1/embed", "/v1/compare"])
async def test_other_routes_refuse_to_stream(running: Running, image: str, path: str) -> None:
    response = await running.client.post(path, json=stream_body(image))
    assert response.status_code == 422
    assert response.json()["error"]["message"].startswith("stream: unknown field; allowed are")


# Clients that leave


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_leaving_mid_stream_frees_the_slot_within_one_step(
    start: Start, image: str, spec_version: str
) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = tuple(" word" for _ in range(100))
    connection = Connection(running.app, "/v1/caption", stream_body(image), spec_version)
    running.gate.allow(1)
    await connection.event()
    connection.leave()
    if spec_version == "2.4":  # learnt by sending the next token
        running.gate.allow(1)
    await asyncio.wait_for(connection.task, WAIT_S)
    await let_cancelled_work_end()
    num_steps = len(running.slots.batches)
    running.gate.allow(1)
    await wait_until(lambda: running.service.engine.num_running == 0)
    assert len(running.slots.batches) <= num_steps + 1
    text = (await running.client.get("/metrics")).text
    assert 'offramp_requests_total{route="/v1/caption",status="499"} 1.0' in text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/caption", {}),
        ("/v1/caption", {"stream": True}),
        ("/v1/entailment", {"hypothesis": "a dog"}),
        ("/v1/compare", {}),
        ("/v1/embed", {}),
        ("/v1/tags", {}),
    ],
)
async def test_leaving_before_the_answer_frees_the_slot_within_one_step(
    start: Start, image: str, path: str, fields: dict[str, Any]
) -> None:
    running = await start(is_gated=True)
    connection = Connection(running.app, path, {"image": image, **fields})
    await wait_until(lambda: running.service.engine.num_running > 0)
    connection.leave()
    await asyncio.wait_for(connection.task, WAIT_S)
    await let_cancelled_work_end()
    running.gate.allow(1)
    await wait_until(lambda: running.service.engine.num_running == 0)
    assert len(running.slots.batches) <= 1
    text = (await running.client.get("/metrics")).text
    assert f'offramp_requests_total{{route="{path}",status="499"}} 1.0' in text


async def test_follower_keeps_its_stream_when_the_leader_leaves(start: Start, image: str) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = PARTS
    leader = Connection(running.app, "/v1/caption", stream_body(image))
    running.gate.allow(1)
    assert event_texts(await leader.event()) == ["a"]
    follower = Connection(running.app, "/v1/caption", stream_body(image))
    assert event_texts(await follower.event()) == ["a"]
    leader.leave()
    await asyncio.wait_for(leader.task, WAIT_S)
    running.gate.open()
    events = await read_rest(follower)
    assert "a" + joined(events) == CAPTION
    assert len(running.predictor.requests) == 1


async def test_slow_client_holds_up_nobody(start: Start, image: str) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = PARTS
    go_on = asyncio.Event()

    async def stall(message: Message) -> None:
        if message["type"] == "http.response.body":
            await go_on.wait()

    connection = Connection(running.app, "/v1/caption", stream_body(image), before_send=stall)
    running.gate.open()
    await wait_until(lambda: running.slots.released == [0])
    go_on.set()
    events = await read_rest(connection)
    assert joined(events) == CAPTION
    await connection.task
