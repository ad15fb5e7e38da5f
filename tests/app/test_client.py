"""The client: what it sends, what it returns, and one error for every failure."""

import base64
import json
from collections.abc import Callable

import httpx
import pytest

from app.client import Client
from app.errors import ServiceError
from serve.schemas import (
    CaptionRequest,
    CompareRequest,
    EmbedRequest,
    EntailmentRequest,
    ErrorAnswer,
    ErrorDetail,
)

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
    sent = {"image": REQUEST.image, "policy": "balanced", "num_beams": 1}
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
