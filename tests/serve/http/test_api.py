"""The HTTP surface on a fake predictor: answers, both body forms, cache states, keys, limits."""

import asyncio
import json
import logging
import time

import httpx
import pytest

from model_core.policies import POLICIES
from model_core.policy_heads import usable_kinds
from serve import schemas
from tests.serve.conftest import Running, Start, encode_photo, to_base64

RULES = {
    "image": {"kind": "similarity", "threshold": 0.9},
    "decoder": {"kind": "confidence", "threshold": 0.5},
}


async def test_caption_says_what_ran_and_who_answered(running: Running, image: str) -> None:
    response = await running.client.post("/v1/caption", json={"image": image, "policy": "full"})
    answer = schemas.CaptionAnswer.model_validate(response.json())
    assert response.status_code == 200
    assert answer.caption == "8x6 never 8"
    assert (answer.cache, answer.policy.name) == ("miss", "full")
    assert (answer.model.name, answer.model.hash) == ("fake", "0123456789abcdef")
    assert answer.request_id == response.headers["x-request-id"]
    assert [token.text for token in answer.trace.decoder.tokens] == ["8x6 never", "8"]


async def test_entailment_gives_label_and_probabilities(running: Running, image: str) -> None:
    body = {"image": image, "hypothesis": "a dog", "premise": "an animal"}
    response = await running.client.post("/v1/entailment", json=body)
    answer = schemas.EntailmentAnswer.model_validate(response.json())
    assert answer.label == "entailment"
    assert answer.probabilities == {"entailment": 0.7, "neutral": 0.2, "contradiction": 0.1}
    assert answer.policy.name == "balanced"


async def test_form_and_json_are_the_same_request(running: Running, photo: bytes) -> None:
    form = {"policy": json.dumps(RULES), "max_new_tokens": "5"}
    first = await running.client.post("/v1/caption", data=form, files={"image": photo})
    body = {"image": to_base64(photo), "policy": RULES, "max_new_tokens": 5}
    second = await running.client.post("/v1/caption", json=body)
    assert (first.json()["caption"], first.json()["cache"]) == ("8x6 confidence 5", "miss")
    assert (second.json()["caption"], second.json()["cache"]) == ("8x6 confidence 5", "hit")
    assert second.json()["policy"] == first.json()["policy"]


async def test_beams_are_passed_on_by_json_and_by_form(running: Running, photo: bytes) -> None:
    first = await running.client.post(
        "/v1/caption", json={"image": to_base64(photo), "policy": "full", "num_beams": 4}
    )
    second = await running.client.post(
        "/v1/caption", data={"policy": "full", "num_beams": "4"}, files={"image": photo}
    )
    greedy = await running.client.post(
        "/v1/caption", json={"image": to_base64(photo), "policy": "full"}
    )
    assert (first.json()["caption"], first.json()["cache"]) == ("8x6 never 4 beams 8", "miss")
    assert (second.json()["caption"], second.json()["cache"]) == ("8x6 never 4 beams 8", "hit")
    assert (greedy.json()["caption"], greedy.json()["cache"]) == ("8x6 never 8", "miss")


async def test_more_beams_than_slots_are_422(start: Start, image: str) -> None:
    running = await start(num_slots=2)
    response = await running.client.post("/v1/caption", json={"image": image, "num_beams": 3})
    assert response.status_code == 422
    message = response.json()["error"]["message"]
    assert message == "num_beams: 3 is too many for this service; allowed are 1 to 2"
    assert (await running.client.get("/healthz")).json()["slots_in_use"] == 0


async def test_compare_answers_in_the_order_asked(running: Running, image: str) -> None:
    body = {"image": image, "policies": [RULES, "full", RULES]}
    response = await running.client.post("/v1/compare", json=body)
    answer = schemas.CompareAnswer.model_validate(response.json())
    assert [one.policy.name for one in answer.answers] == [None, "full", None]
    assert answer.is_same == [True, False, True]


async def test_compare_takes_names_in_a_form_and_has_defaults(
    running: Running, photo: bytes
) -> None:
    for form in ({}, {"policies": "full, balanced"}, {"policies": '["full", "balanced"]'}):
        response = await running.client.post("/v1/compare", data=form, files={"image": photo})
        names = [one["policy"]["name"] for one in response.json()["answers"]]
        assert names == ["full", "balanced"]


async def test_compare_judges_a_sentence(running: Running, image: str) -> None:
    body = {"image": image, "task": "entailment", "hypothesis": "a dog"}
    response = await running.client.post("/v1/compare", json=body)
    assert [one["label"] for one in response.json()["answers"]] == ["entailment", "entailment"]


async def test_repeated_request_is_a_hit_with_the_same_trace(running: Running, image: str) -> None:
    first = (await running.client.post("/v1/caption", json={"image": image})).json()
    second = (await running.client.post("/v1/caption", json={"image": image})).json()
    assert (first["cache"], second["cache"]) == ("miss", "hit")
    assert second["trace"] == first["trace"]
    assert second["request_id"] != first["request_id"]
    assert len(running.predictor.requests) == 1


async def test_another_file_of_the_same_pixels_is_a_hit(running: Running) -> None:
    states = []
    for form in ("PNG", "BMP"):
        body = {"image": to_base64(encode_photo(form=form))}
        states.append((await running.client.post("/v1/caption", json=body)).json()["cache"])
    assert states == ["miss", "hit"]


async def test_no_cache_header_computes_anew(running: Running, image: str) -> None:
    states = [
        (await running.client.post("/v1/caption", json={"image": image}, headers=headers)).json()
        for headers in ({}, {"Cache-Control": "no-cache"})
    ]
    assert [state["cache"] for state in states] == ["miss", "off"]


async def test_cache_off_is_said(start: Start, image: str) -> None:
    running = await start(cache=False)
    for _ in range(2):
        answer = (await running.client.post("/v1/caption", json={"image": image})).json()
        assert answer["cache"] == "off"
    assert (await running.client.get("/healthz")).json()["cache_backend"] == "off"


async def test_same_requests_in_flight_are_computed_once(start: Start, image: str) -> None:
    running = await start(is_gated=True)
    posts = [
        asyncio.create_task(running.client.post("/v1/caption", json={"image": image}))
        for _ in range(3)
    ]
    while running.service.engine.num_running < 1:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    running.gate.open()
    states = sorted([(await post).json()["cache"] for post in posts])
    assert states == ["coalesced", "coalesced", "miss"]
    assert len(running.predictor.requests) == 1


async def test_dead_redis_changes_no_status(start: Start, image: str) -> None:
    running = await start(redis_url="redis://127.0.0.1:1/0")
    for _ in range(2):
        response = await running.client.post("/v1/caption", json={"image": image})
        assert (response.status_code, response.json()["cache"]) == (200, "miss")
    health = await running.client.get("/healthz")
    report = schemas.HealthReport.model_validate(health.json())
    assert health.status_code == 200
    assert (report.status, report.cache_backend, report.cache_is_up) == ("degraded", "redis", False)
    assert "does not answer" in report.warnings[0]


async def test_full_queue_is_429_with_retry_after(start: Start) -> None:
    running = await start(is_gated=True, num_slots=1, queue_limit=1)
    posts = []
    for width in (10, 11):
        body = {"image": to_base64(encode_photo(width))}
        posts.append(asyncio.create_task(running.client.post("/v1/caption", json=body)))
        while running.service.engine.num_running < 1:
            await asyncio.sleep(0.005)
    while running.service.engine.num_waiting < 1:
        await asyncio.sleep(0.005)
    body = {"image": to_base64(encode_photo(12))}
    refused = await running.client.post("/v1/caption", json=body)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["error"]["code"] == "overloaded"
    running.gate.open()
    assert [(await post).status_code for post in posts] == [200, 200]


async def test_no_answer_in_time_is_504_and_frees_the_slot(start: Start, image: str) -> None:
    running = await start(is_gated=True, request_timeout_s=0.2)
    response = await running.client.post("/v1/caption", json={"image": image})
    assert response.status_code == 504
    assert response.json()["error"]["message"] == "no answer within 0.2 s; try again later"
    running.gate.open()
    deadline = time.monotonic() + 5
    while running.service.engine.num_running:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_cancelled_request_frees_its_slot(start: Start, image: str) -> None:
    running = await start(is_gated=True)
    running.predictor.caption_parts = tuple(" word" for _ in range(1000))
    post = asyncio.create_task(running.client.post("/v1/caption", json={"image": image}))
    while running.service.engine.num_running < 1:
        await asyncio.sleep(0.005)
    post.cancel()
    with pytest.raises(asyncio.CancelledError):
        await post
    deadline = time.monotonic() + 5
    while running.service.engine.num_running:
        assert time.monotonic() < deadline
        running.gate.allow(1)
        await asyncio.sleep(0.005)
    assert len(running.slots.batches) < 1000


async def test_failing_model_is_500_without_its_words(running: Running, image: str) -> None:
    running.predictor.fails_at_step = True
    response = await running.client.post("/v1/caption", json={"image": image})
    assert response.status_code == 500
    assert "private" not in response.text and "Traceback" not in response.text
    running.predictor.fails_at_step = False
    assert (await running.client.post("/v1/caption", json={"image": image})).status_code == 200


async def test_unexpected_error_is_500_with_an_id(
    running: Running, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("inner words")

    monkeypatch.setattr(running.service, "question", explode)
    response = await running.client.post(
        "/v1/caption", json={"image": image}, headers={"X-Request-ID": "abc-1"}
    )
    assert response.status_code == 500
    assert response.json()["error"]["request_id"] == "abc-1"
    assert "inner words" not in response.text


async def test_request_id_is_kept_when_harmless(running: Running) -> None:
    for given, is_kept in (("abc-1.x_Y", True), ("a b", False), ("x" * 65, False)):
        response = await running.client.get("/healthz", headers={"X-Request-ID": given})
        assert (response.headers["x-request-id"] == given) is is_kept


async def test_keys_guard_the_model_and_the_metrics_but_not_health(
    start: Start, image: str
) -> None:
    running = await start(api_keys="right,other")
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic right"}, 401),
        ({"Authorization": "Bearer right"}, 200),
        ({"Authorization": "Bearer other"}, 200),
    ):
        response = await running.client.post("/v1/caption", json={"image": image}, headers=headers)
        assert response.status_code == status
    for path in ("/v1/model", "/metrics"):
        assert (await running.client.get(path)).status_code == 401
        right = {"Authorization": "Bearer right"}
        assert (await running.client.get(path, headers=right)).status_code == 200
    for path in ("/healthz", "/readyz"):
        assert (await running.client.get(path)).status_code == 200


async def test_refused_key_is_a_plain_sentence(start: Start) -> None:
    running = await start(api_keys="right")
    response = await running.client.get("/v1/model", headers={"Authorization": "Bearer wrong"})
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "unauthorized"
    assert "wrong" not in response.text


async def test_model_report(running: Running) -> None:
    report = schemas.ModelReport.model_validate((await running.client.get("/v1/model")).json())
    assert (report.num_encoder_layers, report.num_parameters) == (3, 1000)
    tasks = {task.name: task for task in report.tasks}
    assert tasks["entailment"].labels == ["entailment", "neutral", "contradiction"]
    assert tasks["caption"].max_new_tokens == 8


async def test_policies_report_and_live_default(running: Running, image: str) -> None:
    running.service.policies.default = "fast"
    response = await running.client.get("/v1/policies")
    report = schemas.PoliciesReport.model_validate(response.json())
    assert report.default == "fast"
    assert report.presets[0].name == "full"
    assert report.kinds == usable_kinds(POLICIES, [])  # its model has no heads
    answer = (await running.client.post("/v1/caption", json={"image": image})).json()
    assert answer["policy"]["name"] == "fast"
    fast = next(preset for preset in report.presets if preset.name == "fast")
    assert answer["policy"]["rules"] == fast.tasks["caption"].model_dump(mode="json")


async def test_health_and_readiness_follow_the_engine(running: Running) -> None:
    report = schemas.HealthReport.model_validate((await running.client.get("/healthz")).json())
    assert (report.status, report.cache_backend, report.num_slots) == ("ok", "memory", 16)
    await asyncio.to_thread(running.service.engine.close)
    for path in ("/healthz", "/readyz"):
        assert (await running.client.get(path)).status_code == 503


async def test_metrics_count_requests_cache_and_depths(running: Running, image: str) -> None:
    for _ in range(2):
        await running.client.post("/v1/caption", json={"image": image})
    await running.client.post("/v1/caption", json={})
    text = (await running.client.get("/metrics")).text
    for line in (
        'offramp_requests_total{route="/v1/caption",status="200"} 2.0',
        'offramp_requests_total{route="/v1/caption",status="422"} 1.0',
        'offramp_cache_total{state="hit"} 1.0',
        'offramp_exit_depth_count{site="decoder"} 2.0',
        "offramp_queue_length 0.0",
        "offramp_slots 16.0",
    ):
        assert line in text


async def test_one_log_line_without_photo_or_text(
    running: Running, image: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"image": image, "hypothesis": "a very private sentence"}
    with caplog.at_level(logging.DEBUG):
        await running.client.post("/v1/entailment", json=body, headers={"X-Request-ID": "one-line"})
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("serve")]
    assert len(ours) == 1
    expected = (
        "id=one-line route=/v1/entailment status=200",
        "model=0123456789ab policy=balanced cache=miss depths=2/2/2",
    )
    assert all(part in ours[0] for part in expected)
    assert "private" not in caplog.text and image[-20:] not in caplog.text


async def test_openapi_describes_bodies_with_examples(running: Running) -> None:
    document = (await running.client.get("/openapi.json")).json()
    for path in ("/v1/caption", "/v1/entailment", "/v1/compare", "/v1/embed", "/v1/tags"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        assert set(content) == {"application/json", "multipart/form-data"}
        assert content["application/json"]["examples"]
    names = set(document["components"]["schemas"])
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= names
    assert "#/$defs/" not in text


async def test_examples_are_valid_requests(running: Running) -> None:
    document = (await running.client.get("/openapi.json")).json()
    for name, model in (
        ("caption", schemas.CaptionRequest),
        ("entailment", schemas.EntailmentRequest),
        ("compare", schemas.CompareRequest),
        ("embed", schemas.EmbedRequest),
        ("tags", schemas.TagsRequest),
    ):
        body = document["paths"][f"/v1/{name}"]["post"]["requestBody"]
        for example in body["content"]["application/json"]["examples"].values():
            assert model.model_validate(example["value"]).image == example["value"].get("image")


async def test_body_without_length_is_cut_off_while_read(start: Start) -> None:
    running = await start(max_upload_bytes=1024)
    num_sent = 0

    async def endless() -> object:
        nonlocal num_sent
        for _ in range(1000):
            num_sent += 1
            yield b"x" * 4096

    headers = {"content-type": "application/json"}
    response = await running.client.post("/v1/caption", content=endless(), headers=headers)
    assert response.status_code == 413
    assert httpx.codes.is_error(response.status_code) and num_sent < 30
