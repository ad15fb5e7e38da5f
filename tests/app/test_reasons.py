"""The sentence of every kind of rule, word for word."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from app.reasons import CLAUSES, Stop, measured_words, percent, why_it_stopped
from serve.rules import ConfidenceRule, DecoderRule, FixedDepthRule, NeverRule

ADAPTER: TypeAdapter[DecoderRule] = TypeAdapter(DecoderRule)
LEFT = Stop("decoder", 2, 6, (0.31, 0.72), (0.4, 0.4))


def rule(kind: str, **fields: Any) -> DecoderRule:
    return ADAPTER.validate_python({"kind": kind, **fields})


@pytest.mark.parametrize(
    ("kind", "score", "threshold", "words"),
    [
        (
            "similarity",
            0.983,
            0.98,
            "the last layer changed it by 1.7 %, no more than the 2.0 % at which the setting lets "
            "it leave",
        ),
        (
            "similarity",
            0.9,
            0.98,
            "the last layer changed it by 10 %, still more than the 2.0 % at which the setting "
            "lets it leave",
        ),
        (
            "confidence",
            0.72,
            0.4,
            "the probability of the best word piece was 72 %, and the setting asks for at least "
            "40 %",
        ),
        ("patience", 1.0, 1.0, "1 further layer had chosen the same word, and the setting asks"),
        ("entropy", 0.83, 0.8, "the certainty of the choice (1 - entropy) was 83 %"),
        ("margin", 0.5, 0.3, "the lead of the best word piece over the second was 50 %"),
        ("classifier", 0.93, 0.9, "the estimated chance that full depth says the same was 93 %"),
        ("palbert", 0.61, 0.5, "the chance of having halted by now was 61 %"),
        ("jei_dnn", 0.61, 0.5, "the chance of leaving here, by the gates, was 61 %"),
        ("shallow_exit", 0.95, 0.9, "the probability of the best word piece was 95 %"),
    ],
)
def test_every_kind_says_what_it_measured(
    kind: str, score: float, threshold: float, words: str
) -> None:
    amount = {"patience": 1} if kind == "patience" else {"threshold": threshold}
    assert measured_words(rule(kind, **amount), "decoder", score, threshold).startswith(words)


def test_every_rule_with_a_score_has_a_clause() -> None:
    rules = get_args(get_args(DecoderRule)[0])
    kinds = {get_args(each.model_fields["kind"].annotation)[0] for each in rules}
    assert kinds - {"never", "fixed_depth"} == set(CLAUSES)


def test_early_leave_names_layer_and_measure() -> None:
    assert why_it_stopped(LEFT, rule("confidence", threshold=0.4)) == (
        "Left after layer 2 of 6: the probability of the best word piece was 72 %, and the "
        "setting asks for at least 40 %."
    )


def test_last_layer_is_no_early_leave() -> None:
    last = Stop("decoder", 2, 2, (0.1, 0.2), (0.4, 0.4))
    assert why_it_stopped(last, rule("confidence", threshold=0.4)).startswith(
        "All 2 layers ran: none before the last was sure enough to stop."
    )


def test_fixed_and_full_depth_need_no_score() -> None:
    fixed = FixedDepthRule(kind="fixed_depth", depth=2)
    assert why_it_stopped(LEFT, fixed) == "Left after layer 2 of 6, the fixed depth of the setting."
    assert "no early exit was asked for" in why_it_stopped(LEFT, NeverRule())


def test_drafted_word_is_said_to_be_checked() -> None:
    drafted = Stop("decoder", 6, 6, (0.1, 0.2), (0.4, 0.4))
    fixed = FixedDepthRule(kind="fixed_depth", depth=2)
    assert why_it_stopped(drafted, fixed, lookahead=4) == (
        "Drafted after layer 2 of 6, then checked by the rest: the word is the one that full "
        "depth chooses."
    )


def test_photo_under_confidence_speaks_of_its_tags() -> None:
    confidence = ConfidenceRule(kind="confidence", threshold=0.4)
    words = measured_words(confidence, "image", 0.52, 0.4)
    assert words == "its tags had an expected F1 of 0.52, and the setting asks for 0.40"


def test_rule_that_is_not_known_leaves_the_numbers() -> None:
    assert why_it_stopped(LEFT, None) == (
        "Left after layer 2 of 6: the score 0.720 reached the threshold 0.400."
    )


def test_percent_keeps_a_digit_where_it_matters() -> None:
    assert [percent(share) for share in (0.017, 0.5, 0.999)] == ["1.7 %", "50 %", "99.9 %"]
