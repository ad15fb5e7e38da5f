"""Presets in words: one line each, the rest on demand."""

from app.presets import first_clause, presets_html, rules_words
from serve.rules import ExitRules
from serve.schemas import PoliciesReport


def test_one_line_ends_at_the_first_stop() -> None:
    assert first_clause("Aims at 97.5 % of it; the default. Calibrated: on val") == (
        "Aims at 97.5 % of it"
    )
    assert first_clause("Every layer runs.") == "Every layer runs"


def test_rules_are_said_site_by_site() -> None:
    rules = ExitRules.model_validate(
        {
            "image": {"kind": "fixed_depth", "depth": 1},
            "decoder": {"kind": "shallow_exit", "threshold": 0.9},
            "catch_up": "copy_hidden",
            "lookahead": 4,
        }
    )
    assert rules_words(rules) == (
        "photo: 1 layer, text: every layer, each word: shallow exit 0.9, catch-up: copy_hidden, "
        "full depth checks every 4 words"
    )


def test_whole_description_is_folded_away(policies: PoliciesReport) -> None:
    html = presets_html(policies, "caption")
    assert html.startswith("<details")
    assert "Leaves early everywhere; some captions change." in html
    assert "each word: confidence 0.2" in html


def test_silent_service_promises_nothing() -> None:
    assert presets_html(None, "caption") == ""
