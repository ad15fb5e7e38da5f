"""The client: what it sends, what it returns, and one error for every failure."""

import base64
import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from app.client import Client
from app.errors import ServiceError
from serve.schemas import (
    CaptionAnswer,
    CaptionRequest,
    CompareRequest,
    EmbedRequest,
    EntailmentRequest,
    ErrorAnswer,
    ErrorDetail,
    StreamedToken,
    TokenEvent,
)
from tests.app.conftest import CANNED

MakeClient = Callable[[Callable[[httpx.Request], httpx.Response]], Client]
REQUEST = CaptionRequest(image=base64.b64encode(b"photo").decode(), policy="balanced")


def failing(make_client: MakeClient, response: httpx.Response) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        make_client(lambda _: response).caption(REQUEST)
    return caught.value


def failing_with(make_client: MakeClient, error: type[httpx.TransportError]) -> ServiceError:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error("no", request=request)

    with pytest.raises(ServiceError) as caught:
        make_client(fail).health()
    return caught.value


def test_every_call_returns_its_typed_answer(client: Client) -> None:
    assert client.caption(REQUEST).caption == "a cat looks into the camera"
    asked = EntailmentRequest(image=REQUEST.image, hypothesis="A cat.")
    assert client.entailment(asked).label == "entailment"
    compared = client.compare(CompareRequest(image=REQUEST.image))
    assert [answer.request_id for answer in compared.answers] == ["req-full", "req-caption"]
    assert client.embed(EmbedRequest(text="a cat")).embedding == [0.6, 0.8]
    assert client.model().name == "offramp-s"
    assert client.policies().default == "balanced"
    assert client.health().cache_backend == "embedded"


def test_request_carries_key_and_no_empty_field(make_client: MakeClient) -> None:
    seen: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(500)

    with pytest.raises(ServiceError):
        make_client(refuse).caption(REQUEST)
    assert seen[0].headers["authorization"] == "Bearer secret"
    sent = {"image": REQUEST.image, "policy": "balanced", "num_beams": 1, "stream": False}
    assert json.loads(seen[0].content) == sent


def test_refusal_keeps_the_services_sentence_and_id(make_client: MakeClient) -> None:
    detail = ErrorDetail(code="unknown_policy", message="No such policy.", request_id="req-7")
    body = ErrorAnswer(error=detail).model_dump()
    error = failing(make_client, httpx.Response(422, json=body))
    assert (error.message, error.request_id) == ("No such policy.", "req-7")


def test_refusal_without_a_sentence_names_the_status(make_client: MakeClient) -> None:
    response = httpx.Response(502, text="<html>", headers={"X-Request-ID": "req-8"})
    error = failing(make_client, response)
    assert "status 502" in error.message
    assert error.request_id == "req-8"


def test_answer_of_another_form_is_said_to_be_another_version(make_client: MakeClient) -> None:
    error = failing(make_client, httpx.Response(200, json={"caption": "a cat"}))
    assert "same version" in error.message


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (httpx.ConnectError, "does not answer. Start it with `python -m serve`"),
        (httpx.ConnectTimeout, "does not answer. Start it with `python -m serve`"),
        (httpx.ReadTimeout, "did not answer within 60 s"),
        (httpx.RemoteProtocolError, "broke before it answered"),
    ],
)
def test_transport_failure_becomes_a_sentence(
    make_client: MakeClient, failure: type[httpx.TransportError], sentence: str
) -> None:
    error = failing_with(make_client, failure)
    assert sentence in error.message
    assert error.request_id is None


# Streams

TOKENS = TokenEvent(tokens=[StreamedToken(text="a", depth=2), StreamedToken(text=" cat", depth=3)])
BROKEN = ErrorAnswer(
    error=ErrorDetail(code="deadline_exceeded", message="Too late.", request_id="req-9")
)


def event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def stream(*events: bytes) -> httpx.Response:
    headers = {"content-type": "text/event-stream; charset=utf-8", "x-request-id": "req-9"}
    return httpx.Response(200, headers=headers, content=b"".join(events))


def canned(name: str) -> str:
    return json.dumps(json.loads((CANNED / f"{name}.json").read_text()))


def test_stream_gives_tokens_then_the_answer(make_client: MakeClient) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        tokens = event("token", TOKENS.model_dump_json())
        return stream(tokens, b": keep-alive\n\n", tokens, event("answer", canned("caption")))

    items = list(make_client(answer).stream_caption(REQUEST))
    assert items[:2] == [TOKENS, TOKENS]
    assert isinstance(items[2], CaptionAnswer)
    assert items[2].caption == "a cat looks into the camera"
    assert json.loads(seen[0].content)["stream"] is True


def test_stream_of_a_label(make_client: MakeClient) -> None:
    response = stream(event("answer", canned("entailment")))
    asked = EntailmentRequest(image=REQUEST.image, hypothesis="A cat.")
    (answer,) = make_client(lambda _: response).stream_entailment(asked)
    assert not isinstance(answer, TokenEvent)
    assert answer.label == "entailment"


@pytest.mark.parametrize(
    ("response", "sentence", "request_id"),
    [
        (httpx.Response(504, json=BROKEN.model_dump()), "Too late.", "req-9"),
        (stream(event("error", BROKEN.model_dump_json())), "Too late.", "req-9"),
        (stream(), "stopped in the middle of its answer", "req-9"),
        (stream(event("token", "{}")), "same version", "req-9"),
        (stream(event("error", "{}")), "same version", "req-9"),
        (httpx.Response(200, json={}), "same version", None),
    ],
)
def test_stream_that_fails_is_one_error(
    make_client: MakeClient, response: httpx.Response, sentence: str, request_id: str | None
) -> None:
    with pytest.raises(ServiceError, match=sentence) as caught:
        list(make_client(lambda _: response).stream_caption(REQUEST))
    assert caught.value.request_id == request_id


def test_stream_that_breaks_gives_what_it_had_and_then_fails(make_client: MakeClient) -> None:
    class Breaking(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield event("token", TOKENS.model_dump_json())
            raise httpx.RemoteProtocolError("closed")

    headers = {"content-type": "text/event-stream"}
    client = make_client(lambda _: httpx.Response(200, headers=headers, stream=Breaking()))
    items = client.stream_caption(REQUEST)
    assert next(items) == TOKENS
    with pytest.raises(ServiceError, match="broke before it answered"):
        next(items)


def test_stream_that_is_closed_closes_its_connection(make_client: MakeClient) -> None:
    class Endless(httpx.SyncByteStream):
        is_closed = False

        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield event("token", TOKENS.model_dump_json())

        def close(self) -> None:
            self.is_closed = True

    body = Endless()
    headers = {"content-type": "text/event-stream"}
    items = make_client(lambda _: httpx.Response(200, headers=headers, stream=body)).stream_caption(
        REQUEST
    )
    assert next(items) == TOKENS
    items.close()
    assert body.is_closed
