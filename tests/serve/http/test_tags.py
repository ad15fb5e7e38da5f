"""`/v1/tags`: words of a photo through the engine, the cache and the metrics."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from model_core.config import ExitConfig
from model_core.policies import FixedDepthPolicy
from model_core.predictor import Predictor
from serve import schemas
from serve.engine import Engine, EngineLimits
from tests.serve.conftest import Running, Start
from tests.serve.fakes import FakeInfo
from tests.tiny_tags import TAG_WORDS

CONFIDENT = {"image": {"kind": "confidence", "threshold": 0.6}}


async def tag(running: Running, **body: object) -> schemas.TagsAnswer:
    response = await running.client.post("/v1/tags", json=body)
    assert response.status_code == 200, response.text
    return schemas.TagsAnswer.model_validate(response.json())


async def test_words_come_likeliest_first_with_what_ran(running: Running, image: str) -> None:
    answer = await tag(running, image=image, policy="full")
    assert [(one.word, one.probability) for one in answer.words] == [("snow", 0.9), ("dog", 0.6)]
    assert answer.probabilities == {"dog": 0.6, "snow": 0.9, "cat": 0.2}
    assert answer.threshold == 0.5
    assert (answer.trace.encoder.image.depth, answer.trace.encoder.text.depth) == (2, 0)
    assert (answer.cache, answer.policy.name) == ("miss", "full")


async def test_form_and_json_are_the_same_request(
    running: Running, photo: bytes, image: str
) -> None:
    form = {"policy": '{"image": {"kind": "confidence", "threshold": 0.6}}'}
    first = await running.client.post("/v1/tags", data=form, files={"image": photo})
    second = await tag(running, image=image, policy=CONFIDENT)
    assert (first.json()["cache"], second.cache) == ("miss", "hit")
    assert second.policy.rules.image.kind == "confidence"
    assert first.json()["words"] == [word.model_dump() for word in second.words]


async def test_only_the_policy_of_the_image_matters(running: Running, image: str) -> None:
    decoder = {"decoder": {"kind": "confidence", "threshold": 0.5}}
    states = [
        (await tag(running, image=image, policy=policy)).cache
        for policy in (CONFIDENT, {**CONFIDENT, **decoder}, decoder)
    ]
    assert states == ["miss", "hit", "miss"]


async def test_model_without_tag_heads_is_422_with_the_command(start: Start, image: str) -> None:
    running = await start(info=FakeInfo(tags=()))
    response = await running.client.post("/v1/tags", json={"image": image})
    assert response.status_code == 422
    message = response.json()["error"]["message"]
    assert message == "task tags needs tag heads; python -m model_core train makes them"
    report = (await running.client.get("/v1/policies")).json()
    assert "tags" not in report["presets"][0]["tasks"]


async def test_presets_say_what_holds_for_tags(running: Running) -> None:
    report = (await running.client.get("/v1/policies")).json()
    assert "tags" in report["presets"][0]["tasks"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "image: this field is required"),
        ({"image": "aGk="}, "image: not an image that can be read"),
        ({"image": "aGk=", "text": "a"}, "text: unknown field; allowed are image, policy"),
    ],
)
async def test_wrong_request_is_422(
    running: Running, body: dict[str, object], message: str
) -> None:
    response = await running.client.post("/v1/tags", json=body)
    assert response.status_code == 422
    assert message in response.json()["error"]["message"]


async def test_warm_up_tags_too(running: Running) -> None:
    await asyncio.to_thread(running.service.warm_up)
    assert running.predictor.requests[-1].name == "tags"


def test_engine_drives_the_real_slots(tagging_checkpoint: Path, photos: list[Image.Image]) -> None:
    predictor = Predictor.load(tagging_checkpoint)
    engine = Engine(lambda: predictor.new_slots(2), EngineLimits())
    exits = ExitConfig(image=FixedDepthPolicy(depth=2))
    try:
        request = predictor.tag_request(photos[0], exits).as_request()
        answer = engine.submit(request).result(timeout=10)
    finally:
        engine.close()
    (expected,) = predictor.tag(photos[:1], exits)
    assert tuple(answer.probabilities) == TAG_WORDS
    assert tuple(answer.probabilities.values()) == pytest.approx(expected.probabilities)
    assert answer.threshold == pytest.approx(0.5)
