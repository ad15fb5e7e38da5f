"""Metrics by hand."""

import pytest

from model_core.evaluation.metrics import (
    caption_lengths,
    caption_metrics,
    label_metrics,
    relative_saving,
    rouge_scores,
    tokenize_caption,
    variety,
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


def test_rouge_by_hand() -> None:
    # longest common subsequence "a dog on grass": 4 of 5 given words, 4 of the reference's 5
    (score,) = rouge_scores(["a dog plays on grass"], [["A dog runs on grass ."]])
    assert score == pytest.approx(0.8)
    # recall 2 / 2 from one reference, precision 2 / 4 from it too; beta is 1.2
    (score,) = rouge_scores(["two men play ball"], [["two men", "nobody here at all"]])
    assert score == pytest.approx((1 + 1.44) * 0.5 * 1 / (1 + 1.44 * 0.5))
    assert rouge_scores(["", "cat"], [["a dog"], ["a dog"]]).tolist() == [0, 0]


def test_variety_by_hand() -> None:
    # 9 words of which a, dog, runs, cat differ; pairs: a dog, dog runs (twice), a cat, cat runs
    found = variety(["a dog runs", "A dog runs .", "a cat runs"])
    assert found == {
        "distinct1": pytest.approx(4 / 9),
        "distinct2": pytest.approx(4 / 6),
        "distinct_captions": pytest.approx(2 / 3),
    }
    assert variety(["word"]) == {"distinct1": 1.0, "distinct2": 0.0, "distinct_captions": 1.0}


def test_every_caption_metric_is_reported() -> None:
    scores = caption_metrics(["a dog runs", "two men"], REFERENCES)
    bleu = [f"bleu{order}" for order in range(1, 5)]
    varied = ["distinct1", "distinct2", "distinct_captions"]
    assert list(scores) == ["cider", *bleu, "rouge_l", "mean_length", *varied]
    assert scores["mean_length"] == 2.5
    assert caption_lengths(["", "a dog's ball."]).tolist() == [0, 4]


def test_accuracy_and_recall() -> None:
    scores = label_metrics(["yes", "no", "yes", "no"], ["yes", "yes", "yes", "no"], ["yes", "no"])
    assert scores == {"accuracy": 0.75, "recall_yes": pytest.approx(2 / 3), "recall_no": 1.0}


def test_accuracy_of_those_that_were_shown_a_premise() -> None:
    predicted, expected = ["yes", "no", "yes", "no"], ["yes", "yes", "yes", "no"]
    scores = label_metrics(predicted, expected, ["yes", "no"], [True, True, False, False])
    assert scores["accuracy_given_premise"] == 0.5
    assert scores["accuracy"] == 0.75
    assert "accuracy_given_premise" not in label_metrics(predicted, expected, [], [False] * 4)


def test_saving_is_the_share_not_spent() -> None:
    assert relative_saving(3.0, 12.0) == 0.75


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="1 captions for 2 sets"):
        caption_metrics(["a"], REFERENCES)
    with pytest.raises(ValueError, match="0 predictions for 0 labels"):
        label_metrics([], [], ["yes"])
