"""The caption callback as a plain function."""

import base64
import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx

from app.client import Client
from app.controls import OWN, own_rules
from app.palette import depth_swatch
from app.panel import PanelValues
from app.tabs.caption import caption_photo
from tests.app.conftest import answer_canned

MakeClient = Callable[[Callable[[httpx.Request], httpx.Response]], Client]


def states(
    client: Client, photo: str | None, preset: str, own: tuple[Any, ...]
) -> list[PanelValues]:
    """Everything the panel shows, one after the other."""
    return list(caption_photo(client, photo, 1, preset, *own))


def test_photo_gives_its_caption_and_picture(
    client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    values = states(client, photo, "balanced", own_values)[-1]
    assert "a cat looks into the camera" in values.answer
    assert values.details["visible"] is True
    assert values.picture.count("off-cell") > 42
    assert values.site["value"] == "token:0"
    assert values.shown is not None
    assert values.shown.request_id == "req-caption"


def test_words_arrive_one_by_one_in_their_colours(
    client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    waiting, first, second, *_, last = states(client, photo, "balanced", own_values)
    assert "computing …" in waiting.answer
    assert waiting.details["visible"] is False
    assert waiting.shown is None
    assert ">a …</p>" in first.answer
    assert ">a cat …</p>" in second.answer
    assert f"background:{depth_swatch(5, 6).background}" in second.answer
    assert second.shown is None
    assert last.shown is not None


def test_own_thresholds_are_sent_as_rules(
    make_client: MakeClient, photo: str, own_values: tuple[Any, ...]
) -> None:
    bodies: list[dict[str, Any]] = []

    def remember(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/caption":
            return answer_canned(request)
        bodies.append(json.loads(request.content))
        return httpx.Response(503)

    states(make_client(remember), photo, OWN, own_values)
    assert bodies[0]["policy"] == own_rules(own_values).model_dump(mode="json", exclude_none=True)
    assert base64.b64decode(bodies[0]["image"]) == b"\x89PNG photo"


def test_no_photo_gives_a_sentence(client: Client, own_values: tuple[Any, ...]) -> None:
    assert "There is no photo yet" in states(client, None, "full", own_values)[-1].answer


def test_service_down_gives_a_sentence(
    down_client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    values = states(down_client, photo, "full", own_values)[-1]
    assert "does not answer" in values.answer
    assert 'role="alert"' in values.answer


def test_stream_that_breaks_off_leaves_a_sentence_and_no_words(
    make_client: MakeClient, photo: str, own_values: tuple[Any, ...]
) -> None:
    def break_off(request: httpx.Request) -> httpx.Response:
        answer = answer_canned(request)
        if request.url.path != "/v1/caption":
            return answer
        cut = answer.content.split(b"\n\n")[0] + b"\n\n"
        return httpx.Response(200, content=cut, headers=answer.headers)

    values = states(make_client(break_off), photo, "full", own_values)[-1]
    assert 'role="alert"' in values.answer
    assert values.details["visible"] is False


def test_callback_is_a_generator_function_as_gradio_wants_it_for_streams() -> None:
    assert inspect.isgeneratorfunction(caption_photo)
