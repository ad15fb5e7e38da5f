"""What is streamed is what is answered, on real models: every token, its text and its depth."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from model_core.checkpoint import default_checkpoint
from model_core.predictor import Predictor
from serve.cache.cache_control import FREE_USE
from serve.cache.result_cache import ResultCache
from serve.engine import Engine, EngineLimits
from serve.http.streaming import watch
from serve.schemas import StreamedToken
from serve.service import Service
from serve.settings import ServeSettings
from serve.token_feed import TokenFeed
from tests.serve.conftest import encode_photo

PRESETS = ("full", "fast", "mue", "lossless")


@pytest.fixture(params=["tiny", "shipped"])
async def service(
    request: pytest.FixtureRequest, predictor: Predictor, shipped: Predictor
) -> AsyncIterator[Service]:
    model = {"tiny": predictor, "shipped": shipped}[request.param]
    engine = Engine(lambda: model.new_slots(4), EngineLimits())
    made = Service(model, engine, ResultCache(None, "off"), ServeSettings(embedded_cache=False))
    yield made
    await made.aclose()


@pytest.fixture(scope="module")
def shipped() -> Predictor:
    return Predictor.load(default_checkpoint())


@pytest.mark.parametrize("preset", PRESETS)
async def test_tokens_heard_from_the_engine_are_those_of_the_answer(
    service: Service, preset: str
) -> None:
    question = await service.question("caption", encode_photo(64, 48))
    feeds: list[TokenFeed] = []
    policy = service.policies.choose(preset, "caption")
    served = await service.answer(question, policy, follow=feeds.append)
    assert feeds[0].after(0) == served.content.tokens
    assert "".join(token.text for token in served.content.tokens) == served.content.text


@pytest.mark.parametrize(("task", "num_beams"), [("caption", 1), ("caption", 3), ("entailment", 1)])
async def test_streamed_answer_is_the_plain_one(
    service: Service, task: str, num_beams: int
) -> None:
    hypothesis = "a dog runs" if task == "entailment" else None
    photo = encode_photo(64, 48)
    question = await service.question(task, photo, hypothesis, num_beams=num_beams)
    ask = partial(service.answer, question, service.policies.choose("fast", task), FREE_USE)
    streamed: list[StreamedToken] = []
    async for item in watch(ask, interval_s=0.0):
        if isinstance(item, list):
            streamed += item
        else:
            served = item
    plain = (await ask()).content
    assert served.content.text == plain.text
    assert streamed == served.content.tokens == plain.tokens
    assert served.content.probabilities == plain.probabilities
    assert served.content.trace.encoder == plain.trace.encoder
    assert served.content.trace.decoder == plain.trace.decoder
