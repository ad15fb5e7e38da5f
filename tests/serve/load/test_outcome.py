"""An outcome states what the answer itself says it cost."""

import json

import pytest

from serve.load.calls import Call
from serve.load.client import Reply
from serve.load.outcome import outcome_of

CALL = Call(1.5, "caption", "/v1/caption", b"")


def body(cache: str, name: str | None = "fast") -> bytes:
    cost = {"layers_run": 4.0, "layers_full": 12.0}
    return json.dumps({"cache": cache, "policy": {"name": name}, "trace": {"cost": cost}}).encode()


def test_computed_answer_counts_its_layers() -> None:
    outcome = outcome_of(CALL, Reply(200, body("miss"), statuses=(500, 200)), 0.0, 0.25)
    assert (outcome.layers_run, outcome.layers_full) == (4.0, 12.0)
    assert (outcome.preset, outcome.cache, outcome.num_attempts) == ("fast", "miss", 2)
    assert outcome.end_s == 1.75


@pytest.mark.parametrize("cache", ["hit", "coalesced"])
def test_answer_that_was_there_already_counts_no_layers(cache: str) -> None:
    outcome = outcome_of(CALL, Reply(200, body(cache, None)), 0.0, 0.25)
    assert (outcome.layers_run, outcome.cache, outcome.preset) == (None, cache, "")


def test_refusal_keeps_when_to_come_back() -> None:
    outcome = outcome_of(CALL, Reply(429, b"busy", 2.0), 0.0, 0.25)
    assert (outcome.is_ok, outcome.status, outcome.retry_after_s) == (False, 429, 2.0)


@pytest.mark.parametrize("text", [b"<html>", b"{}", b"[]", b"\xff"])
def test_page_of_somebody_else_is_not_taken_for_an_answer(text: bytes) -> None:
    with pytest.raises(ValueError, match="not an answer"):
        outcome_of(CALL, Reply(200, text), 0.0, 0.25)
