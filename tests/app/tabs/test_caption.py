"""The caption callback as a plain function."""

import base64
import json
from collections.abc import Callable
from typing import Any

import httpx

from app.client import Client
from app.controls import OWN, own_rules
from app.tabs.caption import caption_photo

MakeClient = Callable[[Callable[[httpx.Request], httpx.Response]], Client]


def test_photo_gives_its_caption_and_picture(
    client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    values = caption_photo(client, photo, "balanced", *own_values)
    assert "a cat looks into the camera" in values.answer
    assert values.details["visible"] is True
    assert values.picture.count("off-cell") > 42
    assert values.site["value"] == "token:0"
    assert values.shown is not None
    assert values.shown.request_id == "req-caption"


def test_own_thresholds_are_sent_as_rules(
    make_client: MakeClient, photo: str, own_values: tuple[Any, ...]
) -> None:
    bodies: list[dict[str, Any]] = []

    def remember(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(503)

    caption_photo(make_client(remember), photo, OWN, *own_values)
    assert bodies[0]["policy"] == own_rules(own_values).model_dump(mode="json", exclude_none=True)
    assert base64.b64decode(bodies[0]["image"]) == b"\x89PNG photo"


def test_no_photo_gives_a_sentence(client: Client, own_values: tuple[Any, ...]) -> None:
    assert "There is no photo yet" in caption_photo(client, None, "full", *own_values).answer


def test_service_down_gives_a_sentence(
    down_client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    values = caption_photo(down_client, photo, "full", *own_values)
    assert "does not answer" in values.answer
    assert 'role="alert"' in values.answer
