"""The head of the page: up, down, and healed without a reload."""

from functools import partial

import gradio as gr
import httpx
import pytest

from app.client import Client
from app.controls import follow_presets
from app.followers import Follower
from app.header import RETRY_S, WATCH_S, refresh_service, watch_service
from tests.app.conftest import MakeClient, answer_canned

SKIPPED = gr.skip()


@pytest.fixture
def followers() -> list[Follower]:
    radio, about = gr.Radio([]), gr.HTML()
    return [Follower([radio], [radio, about], partial(follow_presets, "caption"))]


def test_service_that_answers_fills_head_and_presets(
    client: Client, followers: list[Follower]
) -> None:
    status, retry, watch, is_up, radio, about = refresh_service(client, followers, None)
    assert "28 M parameters" in status
    assert (retry["visible"], watch["value"], is_up) == (False, WATCH_S, True)
    assert radio["value"] == "balanced"
    assert "some captions change" in about


def test_choice_of_the_visitor_outlives_a_refresh(
    client: Client, followers: list[Follower]
) -> None:
    *_, radio, _ = refresh_service(client, followers, "fast")
    assert radio["value"] == "fast"
    *_, radio, _ = refresh_service(client, followers, "gone")
    assert radio["value"] == "balanced"


def test_service_that_is_down_is_said_to_be_and_asked_again_soon(
    down_client: Client, followers: list[Follower]
) -> None:
    status, retry, watch, is_up, *rest = watch_service(down_client, followers, True, "fast")
    assert "does not answer" in status
    assert (retry["visible"], watch["value"], is_up) == (True, RETRY_S, False)
    assert rest == [SKIPPED, SKIPPED]


def test_watch_asks_for_presets_only_when_the_service_has_come_back(
    make_client: MakeClient, followers: list[Follower]
) -> None:
    asked: list[str] = []

    def remember(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return answer_canned(request)

    client = make_client(remember)
    *_, radio, _ = watch_service(client, followers, True, "fast")
    assert radio == SKIPPED
    assert "/v1/policies" not in asked
    *_, radio, _ = watch_service(client, followers, False, "fast")
    assert radio["value"] == "fast"
