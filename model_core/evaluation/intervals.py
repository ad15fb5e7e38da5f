"""Metrics as functions of sums over examples, and their paired-bootstrap intervals.

A corpus metric of a resample needs only the sums that it is made of: n-gram counts for BLEU, a
score and a one for a mean. Resampling is then a matrix product. The sentences are counted by the
reference implementation; a test compares the metrics with its own.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pydantic import BaseModel

from model_core.config import TaskConfig
from model_core.evaluation.metrics import (
    GIVEN_PREMISE,
    caption_lengths,
    example_scores,
    rouge_scores,
    tokenize_caption,
)

BLEU_ORDERS = 4
CONFIDENCE = 0.95  # of every interval in a report
# The reference implementation's guards against division by zero.
_SMALL, _TINY = 1e-9, 1e-15


class MetricStatistics(NamedTuple):
    """One metric on some examples.

    Attributes:
        of_examples: ``(N, S)`` what each example adds.
        combine: ``(..., S)`` sums to ``(...)`` values of the metric.
    """

    of_examples: np.ndarray
    combine: Callable[[np.ndarray], np.ndarray]

    def value(self) -> float:
        """The metric on all examples."""
        return float(self.combine(self.of_examples.sum(axis=0)))

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """``(R,)`` the metric on each resample of ``(R, N)`` weights."""
        return self.combine(weights @ self.of_examples)


class Draws(NamedTuple):
    """A metric on all examples, and ``(R,)`` on each resample."""

    value: float
    resampled: np.ndarray


class MetricEstimate(BaseModel):
    """A metric, its interval, and its difference to full depth on the same photos.

    Intervals are percentiles over resampled photos; that of the difference is paired: each
    resample holds the same photos for both.
    """

    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float


def estimate(
    given: MetricStatistics, full: MetricStatistics, weights: np.ndarray
) -> MetricEstimate:
    """``given`` beside ``full``, over ``(R, N)`` weights of ``resample_weights``."""
    return estimate_of_draws(
        Draws(given.value(), given.resampled(weights)), Draws(full.value(), full.resampled(weights))
    )


def estimate_of_draws(given: Draws, full: Draws) -> MetricEstimate:
    """``given`` beside ``full``, on the same resamples."""
    differences = given.resampled - full.resampled
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(given.resampled, tails).tolist()
    difference_low, difference_high = np.quantile(differences, tails).tolist()
    return MetricEstimate(
        value=given.value,
        low=low,
        high=high,
        difference=given.value - full.value,
        difference_low=difference_low,
        difference_high=difference_high,
    )


def metric_statistics(
    config: TaskConfig,
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    has_premise: Sequence[bool] = (),
) -> Mapping[str, MetricStatistics]:
    """Metrics of a task by name, as ``evaluate`` reports them.

    Not the ``variety`` of captions: a resample repeats photos, so it would always seem lower.
    """
    if config.metric == "caption":
        return _of_captions(texts, references)
    expected = [group[0] for group in references]
    return _of_labels(texts, expected, list(config.allowed_outputs), has_premise)


def _of_captions(
    texts: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, MetricStatistics]:
    counts = bleu_counts(texts, references)
    return {
        "cider": _mean(example_scores("cider", texts, references)),
        **{
            f"bleu{order}": MetricStatistics(counts, partial(bleu_of_counts, order=order))
            for order in range(1, BLEU_ORDERS + 1)
        },
        "rouge_l": _mean(rouge_scores(texts, references)),
        "mean_length": _mean(caption_lengths(texts)),
    }


def _of_labels(
    predicted: Sequence[str],
    expected: Sequence[str],
    labels: Sequence[str],
    has_premise: Sequence[bool],
) -> dict[str, MetricStatistics]:
    hits = np.array([given == wanted for given, wanted in zip(predicted, expected, strict=True)])
    metrics = {"accuracy": _mean(hits.astype(np.float64))}
    for label in labels:
        of_label = np.array([wanted == label for wanted in expected])
        metrics[f"recall_{label}"] = _share(hits, of_label)
    if any(has_premise):
        metrics[GIVEN_PREMISE] = _share(hits, np.array(has_premise))
    return metrics


def _share(hits: np.ndarray, counted: np.ndarray) -> MetricStatistics:
    """Of the examples that count, the share that is hit."""
    columns = np.stack([hits & counted, counted], axis=1).astype(np.float64)
    return MetricStatistics(columns, _ratio)


def _mean(scores: np.ndarray) -> MetricStatistics:
    return MetricStatistics(np.stack([scores, np.ones_like(scores)], axis=1), _ratio)


def _ratio(sums: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = sums[..., 0] / np.maximum(sums[..., 1], _TINY)
    return ratio


def bleu_counts(texts: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """``(N, 2 * BLEU_ORDERS + 2)``: matched and given n-grams, own and reference length."""
    scorer = BleuScorer(n=BLEU_ORDERS)
    for text, group in zip(texts, references, strict=True):
        scorer += (tokenize_caption(text), [tokenize_caption(sentence) for sentence in group])
    rows = []
    for counts in scorer.ctest:
        length = counts["testlen"]
        closest = min(counts["reflen"], key=lambda wanted: (abs(wanted - length), wanted))
        rows.append([*counts["correct"], *counts["guess"], length, closest])
    return np.array(rows, dtype=np.float64)


def bleu_of_counts(sums: np.ndarray, order: int) -> np.ndarray:
    """``(...)`` BLEU-``order`` of ``(..., 2 * BLEU_ORDERS + 2)`` summed ``bleu_counts``."""
    correct = sums[..., :order] + _TINY
    guess = sums[..., BLEU_ORDERS : BLEU_ORDERS + order] + _SMALL
    precision = (correct / guess).prod(axis=-1) ** (1 / order)
    length_ratio = (sums[..., -2] + _TINY) / (sums[..., -1] + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / length_ratio))
    bleu: np.ndarray = precision * brevity
    return bleu
