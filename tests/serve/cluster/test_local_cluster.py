"""The real thing: Ray Serve, a replica with a tiny model, and a real Valkey, over HTTP."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_core.config import preset_exits
from model_core.types import Answer
from serve import schemas
from serve.cluster.local_cluster import StartupError, check_port_is_free
from tests.serve.asgi import parse_events
from tests.serving import Served

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PRESETS = ("full", "balanced", "mue")


def make_photo(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def as_file(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "PNG")
    return file.getvalue()


def post_caption(served: Served, photo: Image.Image, policy: str) -> dict[str, Any]:
    image = base64.b64encode(as_file(photo)).decode()
    response = served.client.post("/v1/caption", json={"image": image, "policy": policy})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def answer_here(served: Served, photo: Image.Image, policy: str) -> Answer:
    exits = preset_exits(policy, "caption", served.predictor.info.depths)
    return served.predictor.answer([served.predictor.request("caption", photo, exits)])[0]


# Of float32 through four layers of large random weights; depths and words have to agree.
SCORE_ROUNDING = 1e-4


def assert_same_exits(trace: schemas.ExitTrace, local: Answer) -> None:
    """Same depths and tokens; scores to rounding, since a batch may be composed differently."""
    for side in ("image", "text"):
        found, expected = getattr(trace.encoder, side), getattr(local.trace.encoder, side)
        assert found.depth == expected.depth
        assert found.scores == pytest.approx(expected.scores, abs=SCORE_ROUNDING)
    tokens = local.trace.decoder.tokens
    assert [token.text for token in trace.decoder.tokens] == [token.text for token in tokens]
    for token, expected in zip(trace.decoder.tokens, tokens, strict=True):
        assert (token.depth, token.caught_up) == (expected.depth, expected.caught_up)
        assert token.scores == pytest.approx(expected.scores, abs=SCORE_ROUNDING)


@pytest.mark.parametrize("policy", PRESETS)
def test_served_caption_equals_the_local_one(served: Served, policy: str) -> None:
    photo = make_photo(1)
    answer = schemas.CaptionAnswer.model_validate(post_caption(served, photo, policy))
    local = answer_here(served, photo, policy)
    assert answer.caption == local.text
    assert answer.model.hash == served.predictor.info.hash
    assert_same_exits(answer.trace, local)


def test_served_beams_equal_local_ones(served: Served) -> None:
    photo = make_photo(6)
    form = {"policy": "balanced", "num_beams": "3"}
    response = served.client.post("/v1/caption", data=form, files={"image": as_file(photo)})
    answer = schemas.CaptionAnswer.model_validate(response.json())
    exits = preset_exits("balanced", "caption", served.predictor.info.depths)
    request = served.predictor.request("caption", photo, exits, num_beams=3)
    local = served.predictor.answer([request])[0]
    assert answer.caption == local.text
    assert_same_exits(answer.trace, local)
    # This service has four slots.
    form["num_beams"] = "5"
    response = served.client.post("/v1/caption", data=form, files={"image": as_file(photo)})
    assert response.status_code == 422
    assert "allowed are 1 to 4" in response.json()["error"]["message"]


def test_concurrent_requests_equal_local_ones(served: Served) -> None:
    photos = [make_photo(seed) for seed in range(10, 18)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda photo: post_caption(served, photo, "balanced"), photos))
    for photo, answer in zip(photos, answers, strict=True):
        local = answer_here(served, photo, "balanced")
        assert answer["caption"] == local.text
        assert_same_exits(schemas.ExitTrace.model_validate(answer["trace"]), local)


def test_repeated_request_is_a_hit_equal_to_the_computed_one(served: Served) -> None:
    first = post_caption(served, make_photo(2), "balanced")
    second = post_caption(served, make_photo(2), "balanced")
    assert (first["cache"], second["cache"]) == ("miss", "hit")
    for part in ("caption", "trace", "policy", "model"):
        assert second[part] == first[part]


def test_entailment_by_form(served: Served) -> None:
    photo = make_photo(3)
    hypothesis = "a man rides a horse"
    response = served.client.post(
        "/v1/entailment",
        data={"hypothesis": hypothesis, "policy": "full"},
        files={"image": as_file(photo)},
    )
    answer = schemas.EntailmentAnswer.model_validate(response.json())
    exits = preset_exits("full", "entailment", served.predictor.info.depths)
    request = served.predictor.request("entailment", photo, exits, hypothesis=hypothesis)
    local = served.predictor.answer([request])[0]
    assert answer.label == local.text
    assert answer.probabilities == pytest.approx(dict(local.probabilities), abs=1e-5)


def test_stream_through_the_proxy_ends_with_the_plain_answer(served: Served) -> None:
    image = base64.b64encode(as_file(make_photo(31))).decode()
    body = {"image": image, "policy": "balanced", "stream": True}
    with served.client.stream("POST", "/v1/caption", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        *tokens, answer = parse_events(response.read().decode())
    plain = post_caption(served, make_photo(31), "balanced")
    assert (answer.data["caption"], plain["cache"]) == (plain["caption"], "hit")
    assert answer.data["trace"] == plain["trace"]
    texts = [token["text"] for event in tokens for token in event.data["tokens"]]
    assert "".join(texts) == plain["caption"]


def test_compare_through_http(served: Served) -> None:
    response = served.client.post("/v1/compare", files={"image": as_file(make_photo(4))})
    answer = schemas.CompareAnswer.model_validate(response.json())
    assert [one.policy.name for one in answer.answers] == ["full", "balanced"]
    assert answer.is_same[0]


def test_reports(served: Served) -> None:
    health = schemas.HealthReport.model_validate(served.client.get("/healthz").json())
    assert (health.status, health.cache_backend, health.num_slots) == ("ok", "embedded", 4)
    assert served.client.get("/readyz").status_code == 200
    model = schemas.ModelReport.model_validate(served.client.get("/v1/model").json())
    assert model.hash == served.predictor.info.hash
    assert 'offramp_slots{replica="' in served.client.get("/metrics").text


def test_bad_input_keeps_its_status_and_id_through_the_proxy(served: Served) -> None:
    response = served.client.post(
        "/v1/caption", json={"image": "@"}, headers={"X-Request-ID": "through-1"}
    )
    assert response.status_code == 422
    assert response.json()["error"]["request_id"] == "through-1"
    assert response.headers["x-request-id"] == "through-1"


def test_upload_over_the_limit_is_413_through_the_proxy(served: Served) -> None:
    response = served.client.post("/v1/caption", json={"image": "A" * 15_000_000})
    assert response.status_code == 413


def test_port_that_is_taken_is_said_in_words(served: Served) -> None:
    port = served.client.base_url.port
    assert port is not None
    with pytest.raises(StartupError, match=f"port {port} on 127.0.0.1 cannot be used"):
        check_port_is_free("127.0.0.1", port)


def test_valkey_going_away_changes_no_status(served: Served) -> None:
    before = post_caption(served, make_photo(5), "full")
    served.cache_server.stop()
    try:
        after = post_caption(served, make_photo(5), "full")
        health = schemas.HealthReport.model_validate(served.client.get("/healthz").json())
    finally:
        served.cache_server.start()
    assert (before["cache"], after["cache"]) == ("miss", "miss")
    assert after["caption"] == before["caption"]
    assert (health.status, health.cache_is_up) == ("degraded", False)
    assert served.client.get("/healthz").json()["cache_is_up"]
