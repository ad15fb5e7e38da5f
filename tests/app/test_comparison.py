"""Side by side: which words differ, and what is said of it."""

from app.comparison import changed_words, comparison_html
from app.state import shown_from
from serve.schemas import CaptionAnswer


def test_only_words_the_reference_lacks_are_marked(
    caption_answer: CaptionAnswer, full_answer: CaptionAnswer
) -> None:
    reference = full_answer.trace.decoder.tokens  # a brown cat looks at the camera
    words = caption_answer.trace.decoder.tokens  # a cat looks into the camera
    assert changed_words(reference, words) == {3}
    assert changed_words(words, reference) == {1, 4}
    assert changed_words(words, words) == frozenset()


def test_cards_say_what_they_are_compared_with(
    caption_answer: CaptionAnswer, full_answer: CaptionAnswer
) -> None:
    html = comparison_html([shown_from(full_answer), shown_from(caption_answer)], [True, False])
    assert html.count("<article") == 2
    assert "the reference" in html
    assert "≠ another answer than full" in html
    assert html.count("off-changed") == 1


def test_same_answer_is_said_to_be_the_same(full_answer: CaptionAnswer) -> None:
    again = full_answer.model_copy(update={"request_id": "req-again"})
    html = comparison_html([shown_from(full_answer), shown_from(again)], [True, True])
    assert "= same answer as full" in html
    assert "off-changed" not in html
