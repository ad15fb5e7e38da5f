"""The compare callback as a plain function."""

from typing import Any

import pytest

from app.client import Client
from app.controls import OWN, offered, own_rules
from app.errors import InputError
from app.tabs.compare import build_request, compare_settings, first_settings
from serve.schemas import CompareRequest, PoliciesReport


def test_settings_give_cards_and_bars(
    client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    cards, bars = compare_settings(
        client, photo, "caption", "", "", ["full", "balanced"], *own_values
    )
    assert cards.count("<article") == 2
    assert list(bars["value"].data[0].y) == ["full", "balanced"]


def test_request_keeps_the_order_and_spells_own_thresholds_out(
    photo: str, own_values: tuple[Any, ...]
) -> None:
    sentences = ("A cat.", " ")
    request = build_request(photo, "entailment", sentences, ["full", OWN], own_values)
    assert request.policies == ["full", own_rules(own_values)]
    assert (request.hypothesis, request.premise) == ("A cat.", None)


def test_sentences_of_another_task_are_left_out(photo: str, own_values: tuple[Any, ...]) -> None:
    sentences = ("A cat.", "An animal.")
    request = build_request(photo, "caption", sentences, ["full", "fast"], own_values)
    assert (request.hypothesis, request.premise) == (None, None)


@pytest.mark.parametrize("count", [1, 5])
def test_too_few_or_too_many_settings_are_refused(
    photo: str, own_values: tuple[Any, ...], count: int
) -> None:
    with pytest.raises(InputError, match=f"{count} settings are ticked; tick 2 to 4"):
        build_request(photo, "caption", ("", ""), ["full"] * count, own_values)


def test_failure_hides_the_bars(
    down_client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    cards, bars = compare_settings(
        down_client, photo, "caption", "", "", ["full", "fast"], *own_values
    )
    assert "does not answer" in cards
    assert bars["visible"] is False


def test_ticked_at_first_is_the_default_of_the_wire_format(policies: PoliciesReport) -> None:
    assert first_settings(offered(policies, "caption")) == CompareRequest(image="").policies
