"""Metrics from sums: equal to the reference implementation, intervals by hand."""

import numpy as np
import pytest

from model_core.config import TaskConfig
from model_core.evaluation.intervals import (
    MetricStatistics,
    bleu_counts,
    bleu_of_counts,
    estimate,
    metric_statistics,
)
from model_core.evaluation.metrics import caption_metrics, label_metrics, variety

CAPTION = TaskConfig(instruction="?", metric="caption")
LABELS = {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}
ENTAILMENT = TaskConfig(takes_text=True, allowed_outputs=LABELS, metric="accuracy")
REFERENCES = [
    ["A dog runs on grass .", "The dog is running", "a brown dog on the grass"],
    ["Two men play", "two men in the snow"],
    ["A cat on a mat", "the cat sleeps"],
    ["People in the street", "many people walk"],
]
TEXTS = ["a dog runs on the grass", "two men", "a dog on a mat in the sun", ""]


def test_captions_equal_the_reference_implementation() -> None:
    expected = caption_metrics(TEXTS, REFERENCES)
    for name in variety(TEXTS):
        del expected[name]
    found = metric_statistics(CAPTION, TEXTS, REFERENCES)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].value() == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("rows", [[0, 0, 1, 2], [3, 2, 2, 2], [1, 1, 1, 1]])
def test_resampled_bleu_is_the_bleu_of_the_drawn_photos(rows: list[int]) -> None:
    texts = [TEXTS[row] for row in rows]
    expected = caption_metrics(texts, [REFERENCES[row] for row in rows])
    weights = np.bincount(rows, minlength=4)[None, :].astype(float)
    found = metric_statistics(CAPTION, TEXTS, REFERENCES)
    for order in range(1, 5):
        (value,) = found[f"bleu{order}"].resampled(weights)
        assert value == pytest.approx(expected[f"bleu{order}"], rel=1e-9, abs=1e-12)


def test_bleu_counts_by_hand() -> None:
    # "a dog runs on the grass": all 6 words and 5 pairs stand in some reference; of the triples not
    # "runs on the", of the fours only "a dog runs on"; the closest reference has 6 words
    (counts,) = bleu_counts(TEXTS[:1], REFERENCES[:1])
    assert counts.tolist() == [6, 5, 3, 1, 6, 5, 4, 3, 6, 6]
    assert bleu_of_counts(counts, order=2) == pytest.approx(1.0)
    assert bleu_of_counts(counts, order=4) == pytest.approx((3 / 4 * 1 / 3) ** 0.25)


def test_labels_equal_the_plain_metrics() -> None:
    predicted = ["entailment", "neutral", "neutral", "entailment"]
    expected = ["entailment", "entailment", "neutral", "neutral"]
    found = metric_statistics(ENTAILMENT, predicted, [(label,) for label in expected])
    values = {name: statistics.value() for name, statistics in found.items()}
    assert values == pytest.approx(label_metrics(predicted, expected, list(LABELS)))
    assert values["recall_contradiction"] == 0.0
    shown = [True, False, True, False]
    found = metric_statistics(ENTAILMENT, predicted, [(label,) for label in expected], shown)
    assert found["accuracy_given_premise"].value() == 1.0
    values = {name: statistics.value() for name, statistics in found.items()}
    assert values == pytest.approx(label_metrics(predicted, expected, list(LABELS), shown))


def statistics_of(*scores: float) -> MetricStatistics:
    labels = ["entailment" if score else "neutral" for score in scores]
    return metric_statistics(ENTAILMENT, labels, [("entailment",)] * len(scores))["accuracy"]


def test_interval_and_paired_difference_by_hand() -> None:
    full, given = statistics_of(1, 1, 0), statistics_of(1, 0, 0)
    weights = np.array([[3.0, 0, 0], [0, 3, 0], [0, 0, 3], [1, 1, 1], [2, 1, 0]])
    result = estimate(given, full, weights)
    assert result.value == pytest.approx(1 / 3)
    assert result.difference == pytest.approx(-1 / 3)
    values = [1, 0, 0, 1 / 3, 2 / 3]
    differences = [0, -1, 0, -1 / 3, -1 / 3]
    assert [result.low, result.high] == pytest.approx(np.quantile(values, [0.025, 0.975]))
    assert [result.difference_low, result.difference_high] == pytest.approx(
        np.quantile(differences, [0.025, 0.975])
    )


def test_no_difference_has_no_interval() -> None:
    same = statistics_of(1, 0, 1, 1)
    rng = np.random.default_rng(0)
    result = estimate(same, same, rng.multinomial(4, [0.25] * 4, 50).astype(float))
    assert (result.difference, result.difference_low, result.difference_high) == (0, 0, 0)
    assert result.low < result.value < result.high
