"""Metrics by hand."""

import pytest

from model_core.evaluation.metrics import (
    caption_metrics,
    label_metrics,
    relative_saving,
    tokenize_caption,
)

REFERENCES = [["A dog runs on grass .", "The dog is running"], ["Two men play", "two men"]]


def test_captions_are_compared_by_their_words() -> None:
    assert tokenize_caption("A  tri-colored dog's ball , 2 ! .") == "a tri-colored dog s ball 2"


def test_perfect_captions_score_one_in_bleu() -> None:
    scores = caption_metrics(["a dog runs on grass", "two men play"], REFERENCES)
    assert scores["bleu1"] == pytest.approx(1.0)
    assert scores["bleu3"] == pytest.approx(1.0)


def test_bleu1_counts_words_with_brevity() -> None:
    # "a cat runs on grass": 4 of 5 words, "two men play": 3 of 3; the lengths agree
    scores = caption_metrics(["a cat runs on grass", "two men play"], REFERENCES)
    assert scores["bleu1"] == pytest.approx(7 / 8)


def test_cider_prefers_the_photo_s_own_words() -> None:
    right = caption_metrics(["a dog runs on grass", "two men play"], REFERENCES)["cider"]
    swapped = caption_metrics(["two men play", "a dog runs on grass"], REFERENCES)["cider"]
    assert right > 1.0
    assert swapped == pytest.approx(0.0)


def test_accuracy_and_recall() -> None:
    scores = label_metrics(["yes", "no", "yes", "no"], ["yes", "yes", "yes", "no"], ["yes", "no"])
    assert scores == {"accuracy": 0.75, "recall_yes": pytest.approx(2 / 3), "recall_no": 1.0}


def test_saving_is_the_share_not_spent() -> None:
    assert relative_saving(3.0, 12.0) == 0.75


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 captions for 2 sets"):
        caption_metrics(["a"], REFERENCES)
    with pytest.raises(ValueError, match="0 predictions for 0 labels"):
        label_metrics([], [], ["yes"])
