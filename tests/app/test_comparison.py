"""Lanes side by side: what is the same, what differs, and what is still under way."""

from app.comparison import agreement_words, changed_words, comparison_html
from app.errors import ServiceError
from app.lanes import Lane
from app.setting import Setting
from app.state import shown_from
from serve.schemas import CaptionAnswer, StageMs, StreamedToken

WORDS = (StreamedToken(text="a", depth=2), StreamedToken(text=" cat", depth=5))
FULL, BALANCED = Setting(policy="full"), Setting(policy="balanced", num_beams=3)


def timed(answer: CaptionAnswer, decode_ms: float) -> CaptionAnswer:
    stages = StageMs(preprocess=2.0, stem=3.0, encode=4.0, decode=decode_ms)
    cost = answer.trace.cost.model_copy(update={"stage_ms": stages})
    return answer.model_copy(update={"trace": answer.trace.model_copy(update={"cost": cost})})


def test_words_that_the_reference_lacks_are_the_changed_ones(
    caption_answer: CaptionAnswer, full_answer: CaptionAnswer
) -> None:
    reference = full_answer.trace.decoder.tokens  # a brown cat looks at the camera
    words = caption_answer.trace.decoder.tokens  # a cat looks into the camera
    assert changed_words(reference, words) == {3}
    assert changed_words(words, reference) == {1, 4}
    assert changed_words(words, words) == frozenset()


def test_finished_lanes_say_what_they_are_compared_with(
    caption_answer: CaptionAnswer, full_answer: CaptionAnswer
) -> None:
    lanes = [
        Lane(FULL, shown=shown_from(full_answer)),
        Lane(BALANCED, shown=shown_from(caption_answer)),
    ]
    html = comparison_html(lanes, 6)
    assert html.count("<article") == 2
    assert "the reference" in html
    assert "≠ another answer than full" in html
    assert html.count("off-changed") == 1
    assert "0 of 1 other settings give the same answer as full." in html


def test_time_stands_beside_the_time_of_the_reference(full_answer: CaptionAnswer) -> None:
    full, quick = shown_from(timed(full_answer, 31.0)), shown_from(timed(full_answer, 21.0))
    html = comparison_html([Lane(FULL, shown=full), Lane(BALANCED, shown=quick)], 6)
    assert "<b>0 % saved</b><span>40 ms, full took 40 ms</span>" in html
    assert "<b>25 % saved</b><span>30 ms, full took 40 ms</span>" in html
    assert " took " not in comparison_html([Lane(FULL), Lane(BALANCED, shown=quick)], 6)


def test_same_answer_is_said_to_be_the_same(full_answer: CaptionAnswer) -> None:
    lanes = [Lane(each, shown=shown_from(full_answer)) for each in (FULL, BALANCED)]
    html = comparison_html(lanes, 6)
    assert "= same answer as full" in html
    assert "off-changed" not in html


def test_lane_under_way_shows_the_words_that_have_arrived(full_answer: CaptionAnswer) -> None:
    lanes = [Lane(FULL), Lane(BALANCED, words=WORDS)]
    html = comparison_html(lanes, 6)
    assert "computing …" in html
    assert "a cat …" in html
    assert "cat<sub>5</sub>" in html
    assert agreement_words(lanes) == "0 of 2 settings have answered."


def test_failed_lane_leaves_the_others_alone(full_answer: CaptionAnswer) -> None:
    lanes = [
        Lane(FULL, shown=shown_from(full_answer)),
        Lane(BALANCED, error=ServiceError("The queue is full.", "req-7")),
    ]
    html = comparison_html(lanes, 6)
    assert "The queue is full." in html
    assert "req-7" in html
    assert "too few settings have answered" in html
