"""Everything that can be wrong with a request: its status, and what the sentence says."""

import io
from typing import Any

import pytest
from PIL import Image

from tests.serve.conftest import Running, Start, encode_photo, to_base64

PHOTO = to_base64(encode_photo())
JPEG = encode_photo(64, 64, "JPEG")


def rules(**decoder: object) -> dict[str, Any]:
    return {"image": PHOTO, "policy": {"decoder": decoder}}


JSON_CASES: dict[str, tuple[str, Any, int, str]] = {
    "not an image": ("caption", {"image": to_base64(b"hello")}, 422, "not an image"),
    "empty file": ("caption", {"image": ""}, 422, "image: is empty"),
    "truncated image": ("caption", {"image": to_base64(JPEG[:-200])}, 422, "damaged or cut off"),
    "bad base64": ("caption", {"image": "@@@@"}, 422, "image: is not valid base64 (4 characters)"),
    "data URL of text": (
        "caption",
        {"image": "data:text/plain;base64,aGk="},
        415,
        "'text/plain'; allowed are image/*",
    ),
    "data URL without base64": (
        "caption",
        {"image": "data:image/png,x"},
        422,
        "must look like data:",
    ),
    "no image": ("caption", {}, 422, "image: this field is required"),
    "wrong field": (
        "caption",
        {"image": PHOTO, "polcy": "full"},
        422,
        "polcy: unknown field; allowed are image, policy, ",
    ),
    "image of another type": (
        "caption",
        {"image": 5},
        422,
        "image: Input should be a valid string",
    ),
    "body is a list": ("caption", [1], 422, "body: "),
    "unknown policy": (
        "caption",
        {"image": PHOTO, "policy": "best"},
        422,
        "policy: unknown preset 'best'; use one of full, balanced",
    ),
    "policy is a path": (
        "caption",
        {"image": PHOTO, "policy": "configs/policy/full.yaml"},
        422,
        "unknown preset",
    ),
    "policy is a number": ("caption", {"image": PHOTO, "policy": 3}, 422, "(got 3)"),
    "threshold out of range": (
        "caption",
        rules(kind="confidence", threshold=1.5),
        422,
        "policy.decoder.threshold: Input should be less than or equal to 1 (got 1.5)",
    ),
    "threshold missing": (
        "caption",
        rules(kind="similarity"),
        422,
        "policy.decoder.threshold: this field is required",
    ),
    "wrong field of a rule": (
        "caption",
        rules(kind="confidence", threshold=0.5, decay=None),
        422,
        "policy.decoder.decay: unknown field; allowed are kind, threshold, min_depth",
    ),
    "unknown site": (
        "caption",
        {"image": PHOTO, "policy": {"video": {}}},
        422,
        "policy.video: unknown field; allowed are image, text, decoder, catch_up",
    ),
    "unknown kind": ("caption", rules(kind="magic"), 422, "policy.decoder: "),
    "confidence in the encoder": (
        "caption",
        {"image": PHOTO, "policy": {"image": {"kind": "confidence", "threshold": 0.5}}},
        422,
        "'confidence' reads an exit head, which the image has for task tags alone; use never",
    ),
    "a head that no encoder has": (
        "caption",
        {"image": PHOTO, "policy": {"text": {"kind": "confidence", "threshold": 0.5}}},
        422,
        "'never', 'fixed_depth', 'similarity'",
    ),
    "fixed depth above the model": (
        "caption",
        rules(kind="fixed_depth", depth=4),
        422,
        "policy.decoder.depth: 4 is more than this model has; allowed are 1 to 3",
    ),
    "too many tokens": (
        "caption",
        {"image": PHOTO, "max_new_tokens": 9},
        422,
        "9 is too many; allowed are 1 to 8",
    ),
    "no tokens": ("caption", {"image": PHOTO, "max_new_tokens": 0}, 422, "(got 0)"),
    "no beams": (
        "caption",
        {"image": PHOTO, "num_beams": 0},
        422,
        "num_beams: Input should be greater than or equal to 1 (got 0)",
    ),
    "too many beams": (
        "caption",
        {"image": PHOTO, "num_beams": 9},
        422,
        "num_beams: Input should be less than or equal to 8 (got 9)",
    ),
    "beams are not a number": ("caption", {"image": PHOTO, "num_beams": "x"}, 422, "(got 'x')"),
    "beams for labels": (
        "entailment",
        {"image": PHOTO, "hypothesis": "a dog", "num_beams": 2},
        422,
        "num_beams: unknown field; allowed are image, hypothesis, premise, policy",
    ),
    "empty hypothesis": (
        "entailment",
        {"image": PHOTO, "hypothesis": " \t"},
        422,
        "hypothesis: must hold a sentence",
    ),
    "missing hypothesis": (
        "entailment",
        {"image": PHOTO},
        422,
        "hypothesis: this field is required",
    ),
    "over-long hypothesis": (
        "entailment",
        {"image": PHOTO, "hypothesis": "x" * 1001},
        422,
        "hypothesis: 1001 characters are too many; allowed are 1 to 1000",
    ),
    "hypothesis of too many tokens": (
        "entailment",
        {"image": PHOTO, "hypothesis": "x " * 50},
        422,
        "too many tokens; at most 12",
    ),
    "empty premise": (
        "entailment",
        {"image": PHOTO, "hypothesis": "x", "premise": ""},
        422,
        "premise: must hold",
    ),
    "compare without hypothesis": (
        "compare",
        {"image": PHOTO, "task": "entailment"},
        422,
        "hypothesis: must hold a sentence",
    ),
    "compare caption with text": (
        "compare",
        {"image": PHOTO, "hypothesis": "x"},
        422,
        "the task caption takes no text",
    ),
    "compare one policy": (
        "compare",
        {"image": PHOTO, "policies": ["full"]},
        422,
        "policies: List should have at least 2",
    ),
    "compare with an unknown policy": (
        "compare",
        {"image": PHOTO, "policies": ["full", "best"]},
        422,
        "unknown preset 'best'",
    ),
    "unknown task": ("compare", {"image": PHOTO, "task": "sing"}, 422, "'caption' or 'entailment'"),
}


@pytest.mark.parametrize("name", list(JSON_CASES))
async def test_wrong_json_is_refused_in_words(running: Running, name: str) -> None:
    route, body, status, message = JSON_CASES[name]
    response = await running.client.post(f"/v1/{route}", json=body)
    error = response.json()["error"]
    assert message in error["message"]
    assert response.status_code == status
    assert error["request_id"] == response.headers["x-request-id"]


async def test_error_never_carries_the_photo(running: Running) -> None:
    photo = to_base64(encode_photo(500, 400, "BMP"))
    wrong: tuple[dict[str, Any], ...] = (
        {"policy": 7},
        {"image": [photo]},
        {"x": photo},
        {"policy": photo},
        {"max_new_tokens": photo},
    )
    for body in ({"image": photo, **fields} for fields in wrong):
        response = await running.client.post("/v1/caption", json=body)
        assert response.status_code == 422
        assert len(response.text) < 700


async def test_broken_json_is_400(running: Running) -> None:
    headers = {"content-type": "application/json"}
    response = await running.client.post("/v1/caption", content=b'{"image": ', headers=headers)
    assert response.status_code == 400
    assert "the body is not valid JSON" in response.json()["error"]["message"]


async def test_other_content_types_are_415(running: Running) -> None:
    for headers in ({"content-type": "text/plain"}, {}):
        response = await running.client.post("/v1/caption", content=b"x", headers=headers)
        assert response.status_code == 415
        assert "application/json or multipart/form-data" in response.json()["error"]["message"]


async def test_unknown_route_and_method_have_the_same_form(running: Running) -> None:
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/caption", 405, "method_not_allowed"),
    ):
        response = await running.client.request(method, path)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_photo_over_the_pixel_limit(start: Start) -> None:
    running = await start(max_pixels=1024)
    body = {"image": to_base64(encode_photo(40, 30))}
    response = await running.client.post("/v1/caption", json=body)
    assert response.status_code == 422
    assert "40x30 = 1200 pixels; at most 1024" in response.json()["error"]["message"]


async def test_decompression_bomb_is_not_decoded(running: Running) -> None:
    file = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    response = await running.client.post("/v1/caption", files={"image": file.getvalue()})
    assert response.status_code == 422
    assert "pixels" in response.json()["error"]["message"]


async def test_photo_over_the_byte_limit(start: Start) -> None:
    running = await start(max_upload_bytes=1024)
    photo = encode_photo(40, 40, "BMP")
    expected = f"image: {len(photo)} bytes; at most 1024 are allowed"
    by_json = await running.client.post("/v1/caption", json={"image": to_base64(photo)})
    by_form = await running.client.post("/v1/caption", files={"image": photo})
    for response in (by_json, by_form):
        assert (response.status_code, response.json()["error"]["message"]) == (413, expected)


async def test_body_over_the_limit_is_refused_by_its_length(start: Start) -> None:
    running = await start(max_upload_bytes=1024)
    response = await running.client.post("/v1/caption", json={"image": "A" * 100_000})
    assert response.status_code == 413
    assert response.json()["error"]["message"].startswith("body: 1000")


FORM_CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int, str]] = {
    "no image": ({"policy": "full"}, {"other": b"x"}, 422, "image: this field is required"),
    "second file": ({}, {"image": encode_photo(), "extra": b"x"}, 400, "Too many files"),
    "broken rules": ({"policy": "{"}, {"image": encode_photo()}, 400, "policy: is not valid JSON"),
    "wrong field": ({"polcy": "x"}, {"image": encode_photo()}, 422, "polcy: unknown field"),
    "twice": ({"policy": ["full", "fast"]}, {"image": encode_photo()}, 422, "is given 2 times"),
    "not a number": ({"max_new_tokens": "many"}, {"image": encode_photo()}, 422, "(got 'many')"),
    "not an image": ({}, {"image": b"hello"}, 422, "not an image"),
}


@pytest.mark.parametrize("name", list(FORM_CASES))
async def test_wrong_form_is_refused_in_words(running: Running, name: str) -> None:
    data, files, status, message = FORM_CASES[name]
    response = await running.client.post("/v1/caption", data=data, files=files)
    assert message in response.json()["error"]["message"]
    assert response.status_code == status


async def test_form_without_boundary_is_400(running: Running) -> None:
    headers = {"content-type": "multipart/form-data"}
    response = await running.client.post("/v1/caption", content=b"x", headers=headers)
    assert response.status_code == 400
