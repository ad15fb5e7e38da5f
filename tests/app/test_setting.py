"""Plans and their links: exact, limited, and refused with a sentence."""

from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from app.errors import InputError
from app.setting import LINK_PARAMETER, MAX_LINK_CHARS, Plan, Setting, link_query, plan_of_link
from serve.rules import ExitRules, FixedDepthRule

RULES = ExitRules(decoder=FixedDepthRule(kind="fixed_depth", depth=2), lookahead=4)


def test_link_restores_exactly_the_plan() -> None:
    plan = Plan(
        settings=(
            Setting(policy="full"),
            Setting(policy="a name & more", num_beams=5),
            Setting(policy=RULES),
        ),
    )
    query = link_query(plan)
    assert plan_of_link(parse_qs(query[1:])[LINK_PARAMETER][0]) == plan


def test_sentences_are_in_the_link() -> None:
    settings = (Setting(policy="full"), Setting(policy="fast"))
    plan = Plan(task="entailment", hypothesis="Ein Café?", premise="x=y", settings=settings)
    assert plan_of_link(parse_qs(link_query(plan)[1:])[LINK_PARAMETER][0]) == plan


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x" * (MAX_LINK_CHARS + 1), "8001 characters; at most 8000"),
        ("no json", "cannot be read"),
        ('{"settings": [{"policy": "full"}]}', "`settings`"),
        ('{"version": 2, "settings": [{"policy": "a"}, {"policy": "b"}]}', "`version`"),
        ('{"settings": [{"policy": "a"}, {"policy": "b", "num_beams": 99}]}', "num_beams"),
    ],
)
def test_link_that_is_no_plan_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        plan_of_link(text)


def test_beams_of_a_label_are_refused() -> None:
    settings = (Setting(policy="full"), Setting(policy="fast", num_beams=2))
    with pytest.raises(ValidationError, match="beams belong to captions"):
        Plan(task="entailment", hypothesis="A cat.", settings=settings)


def test_name_says_rules_and_beams() -> None:
    assert Setting(policy="fast", num_beams=5).name == "fast, 5 beams"
    assert Setting(policy=RULES).name == (
        "photo: every layer, text: every layer, each word: 2 layers, full depth checks every 4 "
        "words"
    )
