"""Chat completions, as OpenAI's own client sees them."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from serve.errors import InvalidInputError
from serve.http import chat
from serve.steering.governor import Governor, Pressure
from tests.serve.conftest import Running, Start

PARTS = ("a", " dog", ",", " runs", "")
CAPTION = "a dog, runs"


def client_of(running: Running, api_key: str = "none") -> AsyncOpenAI:
    transport = httpx2.ASGITransport(running.app)
    return AsyncOpenAI(
        api_key=api_key,
        base_url="http://test/v1",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    )


@pytest.fixture
async def client(running: Running) -> AsyncIterator[AsyncOpenAI]:
    running.predictor.caption_parts = PARTS
    async with client_of(running) as made:
        yield made


def messages(*urls: str, text: str = "") -> Iterable[Any]:
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    if text:
        parts.append({"type": "text", "text": text})
    return [{"role": "user", "content": parts}]


async def test_completion_is_the_caption_with_its_exits(client: AsyncOpenAI, image: str) -> None:
    answer = await client.chat.completions.create(
        model="offramp:fast", messages=messages(image, text="what is it?"), temperature=0.5
    )
    assert answer.choices[0].message.content == CAPTION
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "fake:fast"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)
    assert answer.usage.total_tokens == 12
    detail = chat.ChatDetail.model_validate((answer.model_extra or {})["offramp"])
    assert detail.policy.name == "fast"
    assert len(detail.trace.decoder.tokens) == 5
    assert detail.ignored == ["messages.text", "temperature"]


async def test_stream_joins_to_the_caption_and_ends_with_usage(
    client: AsyncOpenAI, image: str
) -> None:
    stream = await client.chat.completions.create(
        model="fake",
        messages=messages(image),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == CAPTION
    assert choices[0].delta.role == "assistant"
    assert [choice.finish_reason for choice in choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 12
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


async def test_limit_ends_a_caption_by_its_length(start: Start, image: str) -> None:
    running = await start()
    async with client_of(running) as client:
        for limit, words in ((3, 3), (5000, 8)):
            answer = await client.chat.completions.create(
                model="offramp", messages=messages(image), max_completion_tokens=limit
            )
            content = answer.choices[0].message.content
            assert content is not None and content.endswith(f" {words}")
            assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("model", "extra", "preset"),
    [
        ("offramp:balanced", {"min_quality": "fast"}, "fast"),
        ("offramp:balanced", {}, "balanced"),
    ],
)
async def test_preset_gives_way_under_load_as_far_as_the_request_allows(
    client: AsyncOpenAI,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    extra: dict[str, str],
    preset: str,
) -> None:
    pressure = property(lambda _: Pressure(at_s=0.0, level=1))
    monkeypatch.setattr(Governor, "pressure", pressure)
    answer = await client.chat.completions.create(
        model=model, messages=messages(image), extra_body=extra
    )
    detail = chat.ChatDetail.model_validate((answer.model_extra or {})["offramp"])
    assert (answer.model, detail.policy.name) == (f"fake:{preset}", preset)


async def test_chat_counts_towards_the_rate_limit_of_a_key(start: Start, image: str) -> None:
    running = await start(api_keys="right", rate_limit_per_minute=1)
    async with client_of(running, "right") as client:
        await client.chat.completions.create(model="offramp", messages=messages(image))
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="offramp", messages=messages(image))
    assert caught.value.type == "rate_limit_error"
    assert int(caught.value.response.headers["retry-after"]) > 0


async def test_models_are_listed_with_their_presets(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert {"offramp", "offramp:full", "fake", "fake:fast"} <= set(names)
    assert (await client.models.retrieve("offramp:fast")).id == "offramp:fast"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt")


@pytest.mark.parametrize(
    ("fields", "error", "code", "words"),
    [
        ({"model": "gpt"}, openai.NotFoundError, "model_not_found", "model: 'gpt' is not served"),
        ({"n": 2}, openai.UnprocessableEntityError, "invalid_input", "n: "),
        ({"stop": "."}, openai.UnprocessableEntityError, "invalid_input", "stop: "),
        ({"logprobs": True}, openai.UnprocessableEntityError, "invalid_input", "logprobs: "),
    ],
)
async def test_what_cannot_be_done_is_an_error_of_openais_form(
    client: AsyncOpenAI,
    image: str,
    fields: dict[str, Any],
    error: type[openai.APIStatusError],
    code: str,
    words: str,
) -> None:
    with pytest.raises(error, match=words) as caught:
        await client.chat.completions.create(
            **{"model": "offramp", "messages": messages(image), **fields}
        )
    assert (caught.value.code, caught.value.type) == (code, "invalid_request_error")


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ((), "hold 0 parts of type image_url"),
        (("data:image/png;base64,AA", "data:image/png;base64,AA"), "hold 2 parts"),
        (("http://10.0.0.1/secret.png",), "is not fetched"),
        (("file:///etc/passwd",), "is not fetched"),
    ],
)
def test_photo_is_one_data_url(urls: tuple[str, ...], words: str) -> None:
    body = {"model": "offramp", "messages": messages(*urls, text="hello")}
    with pytest.raises(InvalidInputError, match=words):
        _ = chat.ChatRequest.model_validate(body).photo_url


async def test_wrong_key_is_an_authentication_error(start: Start, image: str) -> None:
    running = await start(api_keys="right")
    async with client_of(running, "wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="offramp", messages=messages(image))
    assert caught.value.type == "authentication_error"
