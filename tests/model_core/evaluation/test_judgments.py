"""Human ratings and metrics, by hand."""

from pathlib import Path

import numpy as np
import pytest

from model_core.errors import InputError
from model_core.evaluation.judgments import (
    RatedCaption,
    agreement,
    bleu_scores,
    judge,
    judge_metrics,
    read_crowd,
    read_experts,
)
from tests.model_core.evaluation.invented import write_ratings

REFERENCES = {
    "dog.jpg": ["A dog runs on grass .", "the dog is running outside", "a brown dog on the grass"],
    "men.jpg": ["Two men play football .", "two men in the snow today"],
}
RATED = [
    RatedCaption("dog.jpg", "A dog runs on the grass .", (4, 4, 3)),
    RatedCaption("dog.jpg", "Two men in the snow today .", (1, 1, 1)),
    RatedCaption("men.jpg", "two men play in the snow", (4, 3, 3)),
    RatedCaption("men.jpg", "a brown dog outside", (1, 2, 1)),
    RatedCaption("men.jpg", "Two men play football", (4, 4, 4)),  # a reference, word for word
    RatedCaption("cat.jpg", "a cat", (4, 4, 4)),  # of a photo without references
]


def test_tau_by_hand() -> None:
    # scores 1 < 2 < 3 with ratings 1, 3, 2: two pairs agree, one does not; no ties
    rated = [RatedCaption("", "", (rating,)) for rating in (1, 3, 2)]
    found = agreement(np.array([1.0, 2.0, 3.0]), rated)
    assert found.tau_b == pytest.approx(1 / 3)
    assert found.tau_c == pytest.approx(1 / 3)


def test_tau_with_ties_by_hand() -> None:
    # four opinions, two values each side; 4 pairs differ in both: all agree; tau-b corrects
    # for ties, sqrt(4 * 4); tau-c divides by n^2 (m - 1) / (2 m) = 16 / 4
    rated = [RatedCaption("", "", (1, 1)), RatedCaption("", "", (2, 2))]
    found = agreement(np.array([0.1, 0.9]), rated)
    assert found.tau_b == pytest.approx(1.0)
    assert found.tau_c == pytest.approx(1.0)
    # three values of the score but two of the rating: 3 pairs differ in both and agree
    rated = [RatedCaption("", "", (rating,)) for rating in (1, 1, 1, 2)]
    found = agreement(np.array([0.1, 0.2, 0.2, 0.9]), rated)
    assert found.tau_b == pytest.approx(3 / (5 * 3) ** 0.5)
    assert found.tau_c == pytest.approx(3 / 4)


def test_scores_that_rank_nothing_agree_with_nobody() -> None:
    rated = [RatedCaption("", "", (1, 2)), RatedCaption("", "", (4, 4))]
    found = agreement(np.array([0.0, 0.0]), rated)
    assert (found.tau_c, found.tau_b) == (0.0, 0.0)


def test_every_opinion_counts_and_references_are_left_out() -> None:
    found = judge(RATED, REFERENCES)
    assert (found.num_captions, found.num_ratings) == (4, 12)
    assert (found.num_left_out, found.num_without_references) == (1, 1)
    assert list(found.metrics) == ["cider", "bleu1", "bleu4", "rouge_l"]
    for name, value in found.metrics.items():
        assert value.tau_b > 0.5, name


def test_metrics_that_rank_backwards_are_negative() -> None:
    turned = [
        RatedCaption(item.image, item.caption, tuple(5 - rating for rating in item.ratings))
        for item in RATED
    ]
    for name, value in judge(turned, REFERENCES).metrics.items():
        assert value.tau_c == pytest.approx(-judge(RATED, REFERENCES).metrics[name].tau_c)


def test_sentence_bleu_by_hand() -> None:
    # all 3 words, 2 pairs, 1 triple stand in the reference, as long as it; no four of words
    scores = bleu_scores(["a dog runs", "two cats"], [["A dog runs ."], ["two men"]])
    assert scores[0] == pytest.approx([1.0, 0.5])
    assert scores[2, 0] == pytest.approx(1.0)
    assert scores[3, 0] == pytest.approx((1e-15 / 1e-9) ** 0.25, rel=1e-3)  # smoothed


def test_files_are_read_and_judged(data_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.jsonl").write_text((data_folder / "captions.jsonl").read_text())
    write_ratings(tmp_path)
    assert read_experts(tmp_path / "judgments_expert.jsonl")[1].ratings == (1, 1, 2)
    assert [item.ratings for item in read_crowd(tmp_path / "judgments_crowdflower.jsonl")] == [
        (0.75,),
        (0.0,),
    ]
    found = judge_metrics(tmp_path)
    assert (found.experts.num_captions, found.experts.num_left_out) == (2, 1)
    assert found.experts.metrics["rouge_l"].tau_b > 0
    assert found.crowd.metrics["bleu1"].tau_b == pytest.approx(1.0)


def test_refusals(tmp_path: Path) -> None:
    path = tmp_path / "judgments_expert.jsonl"
    with pytest.raises(InputError, match=r"judgments_expert\.jsonl: not found"):
        read_experts(path)
    path.write_text('{"image": "a.jpg", "caption": "b"}\n')
    with pytest.raises(InputError, match=r"jsonl:1: field 'scores' is missing"):
        read_experts(path)
    path.write_text("{}\n{\n")
    with pytest.raises(InputError, match=r"jsonl:1: field 'image' is missing"):
        read_experts(path)
    path.write_text("{\n")
    with pytest.raises(InputError, match=r"jsonl:1: not JSON"):
        read_experts(path)
    with pytest.raises(InputError, match="no rated caption is about a photo"):
        judge(RATED, {})
