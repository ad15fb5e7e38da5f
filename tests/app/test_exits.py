"""What is read out of a trace, against traces small enough to check by hand."""

import pytest

from app.exits import (
    CellState,
    default_site,
    exit_grid,
    modality_words,
    saved_fraction,
    score_curve,
    score_sites,
    total_ms,
)
from serve.rules import ExitRules
from serve.schemas import (
    CaptionAnswer,
    DecoderTrace,
    EmbedAnswer,
    ModalityTrace,
    TokenTrace,
)
from tests.app.conftest import read

RAN, CAUGHT_UP, NEVER = CellState.RAN, CellState.CAUGHT_UP, CellState.NEVER


def token(text: str, depth: int, computed_depth: int) -> TokenTrace:
    scores = [0.1 * layer for layer in range(1, depth + 1)]
    return TokenTrace(
        text=text,
        depth=depth,
        scores=scores,
        thresholds=[0.5] * depth,
        caught_up=0,
        computed_depth=computed_depth,
    )


def test_grid_tells_ran_caught_up_and_never_apart() -> None:
    tokens = [token("a", 1, 3), token("dog", 3, 3), token("", 2, 2)]
    grid = exit_grid(DecoderTrace(num_layers=4, tokens=tokens))
    assert grid.tokens == ("a", "dog", "(end)")
    assert grid.depths == (1, 3, 2)
    assert grid.cells == (
        (RAN, RAN, RAN),
        (CAUGHT_UP, RAN, RAN),
        (CAUGHT_UP, RAN, NEVER),
        (NEVER, NEVER, NEVER),
    )


def test_sites_are_both_modalities_then_every_word(caption_answer: CaptionAnswer) -> None:
    sites = score_sites(caption_answer.trace)
    assert sites[:3] == [("Image", "image"), ("Text", "text"), ("Word 1: a", "token:0")]
    assert sites[-1] == ("Word 7: (end)", "token:6")
    assert default_site(caption_answer.trace) == "token:0"


def test_curve_of_a_modality_says_why_it_left(caption_answer: CaptionAnswer) -> None:
    curve = score_curve(caption_answer.trace, "image", caption_answer.policy.rules)
    assert curve.scores == (0.91, 0.962, 0.983)
    assert curve.thresholds == (0.98, 0.98, 0.98)
    assert (curve.exit_depth, curve.num_layers) == (3, 6)
    assert curve.score_name == "similarity to the layer before (cosine)"
    assert curve.sentence == (
        "Left after layer 3 of 6: the last layer changed it by 1.7 %, no more than the 2.0 % at "
        "which the setting lets it leave."
    )


def test_curve_of_a_word_uses_the_decoders_rule(caption_answer: CaptionAnswer) -> None:
    curve = score_curve(caption_answer.trace, "token:1", caption_answer.policy.rules)
    assert curve.title == "Word 2: cat"
    assert curve.score_name == "probability of the best word piece"
    assert curve.exit_depth == 5


def test_full_depth_is_said_not_to_have_been_asked_to_leave(full_answer: CaptionAnswer) -> None:
    curve = score_curve(full_answer.trace, "text", full_answer.policy.rules)
    assert curve.sentence == "All 6 layers ran: no early exit was asked for."


def test_fixed_depth_is_said_to_be_fixed(caption_answer: CaptionAnswer) -> None:
    rules = ExitRules.model_validate({"image": {"kind": "fixed_depth", "depth": 3}})
    sentence = score_curve(caption_answer.trace, "image", rules).sentence
    assert sentence == "Left after layer 3 of 6, the fixed depth of the setting."


def test_last_layer_without_an_exit_gives_the_last_score(full_answer: CaptionAnswer) -> None:
    assert score_curve(full_answer.trace, "image").sentence == (
        "All 6 layers ran: none before the last was sure enough to stop. At the end, the score "
        "0.000 stayed below the threshold 1.000."
    )


def test_unknown_site_is_refused(caption_answer: CaptionAnswer) -> None:
    with pytest.raises(ValueError, match="no exit site 'token:7'"):
        score_curve(caption_answer.trace, "token:7")


def test_savings_are_fractions_of_full_depth(caption_answer: CaptionAnswer) -> None:
    assert saved_fraction(3.0, 12.0) == 0.75
    assert saved_fraction(1.0, 0.0) == 0.0
    assert total_ms(caption_answer.trace.cost) == pytest.approx(3.1 + 27.4 + 8.2 + 31.6)


def test_encoding_from_the_cache_is_said_in_words() -> None:
    kept = ModalityTrace(depth=2, num_layers=6, scores=[], thresholds=[], from_cache=True)
    assert "computed once for the whole model" in modality_words("Text", kept)
    fresh = kept.model_copy(update={"from_cache": False})
    assert modality_words("Text", fresh) == "Text: 2 of 6 layers"


def test_a_modality_that_was_not_asked_about_is_no_exit_site() -> None:
    trace = read("embed", EmbedAnswer).trace
    assert score_sites(trace) == [("Image", "image")]
    assert default_site(trace) == "image"
    assert modality_words("Text", trace.encoder.text) == "Text: not part of the question"


def test_modality_that_did_not_run_has_no_site(
    caption_answer: CaptionAnswer,
) -> None:
    nothing = ModalityTrace(depth=0, num_layers=6, scores=[], thresholds=[])
    encoder = caption_answer.trace.encoder.model_copy(update={"text": nothing})
    trace = caption_answer.trace.model_copy(update={"encoder": encoder})
    assert "text" not in [key for _, key in score_sites(trace)]
    assert modality_words("Text", nothing).startswith("Text: not part")
