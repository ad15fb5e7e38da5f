"""Metrics of several words per photo: mean average precision, micro-F1, and the best threshold.

Average precision is that of the whole ranking, the mean over positives of the precision at their
rank; photos with the same score share one rank. ``map`` is its mean over the words that any photo
has (macro).
"""

from typing import NamedTuple

import numpy as np

from model_core.evaluation.intervals import MetricStatistics


class Threshold(NamedTuple):
    """A probability from which words are given, and the micro-F1 that this has."""

    value: float
    f1: float


class WordRankings:
    """The ranking of photos under each word, for any weights of the photos."""

    def __init__(self, probabilities: np.ndarray, targets: np.ndarray) -> None:
        """Order the photos.

        Args:
            probabilities: ``(N, W)``.
            targets: ``(N, W)`` True where the photo has the word.

        Raises:
            ValueError: The shapes differ, or no photo has any word.
        """
        if probabilities.shape != targets.shape:
            raise ValueError(f"probabilities {probabilities.shape} for targets {targets.shape}")
        if not targets.any():
            raise ValueError("targets: no photo has any of the words, so nothing can be ranked")
        self._words = [
            _ordered(probabilities[:, word], targets[:, word])
            for word in range(targets.shape[1])
            if targets[:, word].any()
        ]
        self._num_photos = len(targets)

    def value(self) -> float:
        """``map`` of the photos as they are."""
        return float(self.resampled(np.ones((1, self._num_photos)))[0])

    def resampled(self, weights: np.ndarray) -> np.ndarray:
        """``(R,)`` ``map`` under each row of ``(R, N)`` weights; words without a photo left out."""
        total = np.zeros(len(weights))
        count = np.zeros(len(weights))
        for order, hits, ends in self._words:
            drawn = weights[:, order]
            found = drawn * hits
            precision = found.cumsum(axis=1)[:, ends] / np.maximum(
                drawn.cumsum(axis=1)[:, ends], 1e-12
            )
            positives = found.sum(axis=1)
            total += (found * precision).sum(axis=1) / np.maximum(positives, 1e-12)
            count += positives > 0
        means: np.ndarray = total / np.maximum(count, 1.0)
        return means


class _Ranking(NamedTuple):
    """``(N,)`` photos by falling score, whether each is a hit, and where its equals end."""

    order: np.ndarray
    hits: np.ndarray
    ends: np.ndarray


def _ordered(scores: np.ndarray, hits: np.ndarray) -> _Ranking:
    order = np.argsort(-scores, kind="stable")
    falling = -scores[order]
    ends = np.searchsorted(falling, falling, side="right") - 1
    return _Ranking(order, hits[order].astype(np.float64), ends)


def average_precision(scores: np.ndarray, hits: np.ndarray) -> float:
    """Average precision of one word, of ``(N,)`` scores and ``(N,)`` True where it is right.

    Raises:
        ValueError: Nothing is right.
    """
    return WordRankings(scores[:, None], hits[:, None]).value()


def micro_f1(given: np.ndarray, wanted: np.ndarray) -> float:
    """F1 of all ``(N, W)`` decisions together; 0 where nothing is given and nothing wanted."""
    return f1_statistics(given, wanted).value()


def f1_statistics(given: np.ndarray, wanted: np.ndarray) -> MetricStatistics:
    """Micro-F1 as sums over photos of ``(N, W)`` decisions: hits, words given and wanted."""
    columns = [(given & wanted).sum(axis=1), given.sum(axis=1), wanted.sum(axis=1)]
    return MetricStatistics(np.stack(columns, axis=1).astype(np.float64), _f1)


def _f1(sums: np.ndarray) -> np.ndarray:
    f1: np.ndarray = 2 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1e-12)
    return f1


def best_threshold(probabilities: np.ndarray, targets: np.ndarray) -> Threshold:
    """The threshold with the largest micro-F1 over ``(N, W)`` probabilities and targets.

    It lies half way between the last word that is given and the next one.

    Raises:
        ValueError: No photo has any of the words.
    """
    if not targets.any():
        raise ValueError("targets: no photo has any of the words, so no threshold can be chosen")
    flat = probabilities.ravel()
    order = np.argsort(-flat, kind="stable")
    falling, hits = flat[order], targets.ravel()[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(flat) + 1) + hits[-1])
    is_last = np.append(falling[1:] < falling[:-1], True)  # equals are given together or not at all
    best = int(np.where(is_last, f1, -1.0).argmax())
    after = falling[best + 1] if best + 1 < len(falling) else 0.0
    return Threshold(float((falling[best] + after) / 2), float(f1[best]))
