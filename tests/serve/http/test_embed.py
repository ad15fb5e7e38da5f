"""`/v1/embed`: one vector by JSON or form, through the engine, the cache and the metrics."""

import asyncio
import json
from pathlib import Path

import pytest

from model_core.config import ExitConfig
from model_core.policies import FixedDepthPolicy
from model_core.predictor import Predictor
from serve import schemas
from serve.engine import Engine, EngineLimits
from tests.serve.conftest import Running, Start
from tests.serve.fakes import FakeInfo

EARLY = {"image": {"kind": "similarity", "threshold": 0.9}}
ALSO_TEXT = {**EARLY, "text": {"kind": "fixed_depth", "depth": 2}}


async def embed(running: Running, **body: object) -> schemas.EmbedAnswer:
    response = await running.client.post("/v1/embed", json=body)
    assert response.status_code == 200, response.text
    return schemas.EmbedAnswer.model_validate(response.json())


async def test_photo_gives_a_vector_and_what_ran(running: Running, image: str) -> None:
    answer = await embed(running, image=image, policy="full")
    assert answer.embedding == [1.0, 0.0]
    assert (answer.cache, answer.policy.name, answer.model.name) == ("miss", "full", "fake")
    encoder = answer.trace.encoder
    assert (encoder.image.depth, encoder.text.depth) == (2, 0)
    assert answer.trace.decoder.tokens == []


async def test_text_gives_a_vector_and_what_ran(running: Running) -> None:
    answer = await embed(running, text="a dog")
    assert answer.embedding == pytest.approx([-0.4161, 0.9093], abs=1e-4)
    assert (answer.trace.encoder.image.depth, answer.trace.encoder.text.depth) == (0, 2)
    assert answer.policy.name == "balanced"


async def test_form_and_json_are_the_same_request(
    running: Running, photo: bytes, image: str
) -> None:
    form = {"policy": json.dumps(EARLY)}
    first = await running.client.post("/v1/embed", data=form, files={"image": photo})
    second = await embed(running, image=image, policy=EARLY)
    assert (first.json()["cache"], second.cache) == ("miss", "hit")
    assert second.embedding == first.json()["embedding"]
    third = await running.client.post("/v1/embed", files={"text": (None, "a dog")})
    assert third.json()["embedding"] == (await embed(running, text=" a  dog ")).embedding


async def test_policy_of_the_other_modality_does_not_matter(running: Running, image: str) -> None:
    first = await embed(running, image=image, policy=EARLY)
    second = await embed(running, image=image, policy=ALSO_TEXT)
    third = await embed(running, image=image, policy="full")
    assert (first.cache, second.cache, third.cache) == ("miss", "hit", "miss")


async def test_same_requests_in_flight_are_computed_once(start: Start) -> None:
    running = await start(is_gated=True)
    posts = [asyncio.create_task(embed(running, text="a dog")) for _ in range(3)]
    while running.service.engine.num_running < 1:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    running.gate.open()
    states = sorted([(await post).cache for post in posts])
    assert states == ["coalesced", "coalesced", "miss"]
    assert len(running.predictor.requests) == 1


async def test_depths_of_what_ran_are_counted(running: Running) -> None:
    await embed(running, text="a dog")
    text = (await running.client.get("/metrics")).text
    assert 'offramp_exit_depth_count{site="text"} 1.0' in text
    assert 'offramp_exit_depth_count{site="image"}' not in text
    assert 'offramp_requests_total{route="/v1/embed",status="200"} 1.0' in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "body: give either image or text, exactly one of them (got neither)"),
        ({"image": "aGk=", "text": "a"}, "exactly one of them (got both)"),
        ({"text": "  "}, "text: must hold a sentence (got '  ')"),
        ({"text": "a" * 5000}, "text: 5000 characters are too many; allowed are 1 to"),
        ({"text": 5}, "text: Input should be a valid string (got 5)"),
        ({"text": "a", "policy": "best"}, "policy: unknown preset 'best'"),
        ({"image": "aGk="}, "image: not an image that can be read"),
        ({"image": ""}, "image: is empty"),
    ],
)
async def test_wrong_request_is_422(
    running: Running, body: dict[str, object], message: str
) -> None:
    response = await running.client.post("/v1/embed", json=body)
    assert response.status_code == 422
    assert message in response.json()["error"]["message"]


async def test_photo_and_text_in_a_form_are_422(running: Running, photo: bytes) -> None:
    response = await running.client.post(
        "/v1/embed", data={"text": "a dog"}, files={"image": photo}
    )
    assert response.status_code == 422
    assert response.json()["error"]["message"].endswith("exactly one of them (got both)")


async def test_model_without_poolers_is_422(start: Start, image: str) -> None:
    running = await start(info=FakeInfo(embedding_size=0))
    for body in ({"text": "a dog"}, {"image": image}):
        response = await running.client.post("/v1/embed", json=body)
        assert response.status_code == 422
        assert "has no poolers" in response.json()["error"]["message"]
    report = (await running.client.get("/v1/policies")).json()
    assert "retrieval" not in report["presets"][0]["tasks"]


async def test_presets_say_what_holds_for_retrieval(running: Running) -> None:
    report = (await running.client.get("/v1/policies")).json()
    assert "retrieval" in report["presets"][0]["tasks"]


async def test_warm_up_embeds_too(running: Running) -> None:
    await asyncio.to_thread(running.service.warm_up)
    names = [request.name for request in running.predictor.requests]
    assert names[-3:-1] == ["photo", "text"]


def test_engine_drives_the_real_slots(pooled_checkpoint: Path) -> None:
    predictor = Predictor.load(pooled_checkpoint)
    engine = Engine(lambda: predictor.new_slots(2), EngineLimits())
    try:
        exits = ExitConfig(text=FixedDepthPolicy(depth=2))
        requests = [predictor.embedding_request(text, exits) for text in ("a dog", "two people")]
        futures = [engine.submit(request) for request in requests]
        answers = [future.result(timeout=10) for future in futures]
    finally:
        engine.close()
    for answer, expected in zip(answers, predictor.answer(requests), strict=True):
        assert answer.embedding == pytest.approx(expected.embedding, abs=1e-6)
        assert answer.trace.encoder.text.depth == 2
