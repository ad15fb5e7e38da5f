"""No log says anything of what users send, whichever way a request ends."""

import base64
import io
import logging
from typing import Any

import pytest
from PIL import Image

from tests.serve.conftest import Running, Start

MARKER = "zebrafinch"
PHOTO = base64.b64encode(b"no image but " + MARKER.encode()).decode()


def real_photo() -> str:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "teal").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


GOOD = real_photo()
BODIES: dict[str, tuple[str, Any]] = {
    "answered": ("entailment", {"image": GOOD, "hypothesis": f"a {MARKER}"}),
    "text too long": ("entailment", {"image": GOOD, "hypothesis": f"{MARKER} " * 300}),
    "too many tokens": ("entailment", {"image": GOOD, "hypothesis": f"{MARKER} " * 50}),
    "not an image": ("caption", {"image": PHOTO}),
    "not base64": ("caption", {"image": f"@{MARKER}"}),
    "URL": ("caption", {"image": f"https://{MARKER}.example/a.jpg"}),
    "unknown field": ("caption", {"image": GOOD, MARKER: MARKER}),
    "unknown policy": ("caption", {"image": GOOD, "policy": MARKER}),
    "wrong type": ("caption", {"image": GOOD, "max_new_tokens": MARKER}),
    "compare": ("compare", {"image": GOOD, "hypothesis": MARKER}),
    "embedded text": ("embed", {"text": f"a {MARKER}"}),
}


async def send_all(running: Running) -> set[int]:
    """Statuses of every body above, as JSON, as broken JSON and as a form."""
    post = running.client.post
    statuses = set()
    for route, body in BODIES.values():
        response = await post(f"/v1/{route}", json=body)
        statuses.add(response.status_code)
    headers = {"content-type": "application/json"}
    broken = await post("/v1/caption", content=f'{{"{MARKER}'.encode(), headers=headers)
    form = {"policy": f"{{{MARKER}", MARKER: MARKER}
    part = {"image": (f"{MARKER}.png", f"{MARKER}".encode())}
    for response in (
        broken,
        await post("/v1/caption", data=form, files=part),
        await post("/v1/caption", files=part),
        await post(f"/v1/{MARKER}", content=MARKER.encode()),
        await post("/v1/caption", headers={"Authorization": f"Bearer {MARKER}"}, content=b"x"),
    ):
        statuses.add(response.status_code)
    return statuses


async def test_no_way_a_request_ends_logs_what_was_sent(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="serve"):
        statuses = await send_all(running)
    assert {200, 400, 404, 415, 422} <= statuses
    assert len(caplog.records) >= len(BODIES)
    assert MARKER not in caplog.text
    assert GOOD[:40] not in caplog.text and PHOTO[:20] not in caplog.text


async def test_wrong_key_is_not_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    running = await start(api_keys="right")
    with caplog.at_level(logging.DEBUG, logger="serve"):
        statuses = await send_all(running)
    assert statuses == {401, 404}
    assert MARKER not in caplog.text


async def test_failures_are_logged_without_their_words(
    running: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot digest {MARKER}")

    running.predictor.fails_at_step = True
    body = {"image": GOOD, "hypothesis": f"a {MARKER}"}
    with caplog.at_level(logging.DEBUG, logger="serve"):
        failed = await running.client.post("/v1/entailment", json=body)
        monkeypatch.setattr(running.service, "question", explode)
        broken = await running.client.post("/v1/entailment", json=body)
    assert [failed.status_code, broken.status_code] == [500, 500]
    assert "RuntimeError at" in caplog.text and "in explode" in caplog.text
    assert MARKER not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a.jpg",
        "https://host.example/a.jpg",
        "file:///etc/passwd",
        "ftp://host.example/a.jpg",
    ],
)
async def test_addresses_are_refused_and_not_fetched(
    running: Running, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr("socket.socket.connect", connect)
    response = await running.client.post("/v1/caption", json={"image": url})
    assert response.status_code == 422
    message = response.json()["error"]["message"]
    assert message == (
        "image: is an address, and addresses are not fetched; send the photo itself as a data URL, "
        "as base64 or as a file of a form"
    )
