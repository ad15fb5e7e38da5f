"""The entailment callback as a plain function."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from app.client import Client
from app.tabs.entailment import judge_sentence
from tests.app.conftest import answer_canned

MakeClient = Callable[[Callable[[httpx.Request], httpx.Response]], Client]


def test_sentence_gives_its_label_and_probabilities(
    client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    *_, last = judge_sentence(client, photo, "A cat.", "", "full", *own_values)
    probabilities, answer, *_ = last
    assert probabilities["value"] == {"entailment": 0.91, "neutral": 0.07, "contradiction": 0.02}
    assert ">entailment</p>" in answer


def test_blank_premise_is_not_sent(
    make_client: MakeClient, photo: str, own_values: tuple[Any, ...]
) -> None:
    bodies: list[dict[str, Any]] = []

    def remember(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/entailment":
            return answer_canned(request)
        bodies.append(json.loads(request.content))
        return httpx.Response(503)

    client = make_client(remember)
    for premise in ("  ", "An animal."):
        list(judge_sentence(client, photo, "A cat.", premise, "full", *own_values))
    assert "premise" not in bodies[0]
    assert bodies[1]["premise"] == "An animal."


def test_failure_hides_the_probabilities(
    down_client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    *_, last = judge_sentence(down_client, photo, "A cat.", "", "full", *own_values)
    probabilities, answer, *_ = last
    assert probabilities["visible"] is False
    assert "does not answer" in answer
