"""Calibration error, temperature and prediction sets, with values that a person can check."""

import math

import numpy as np
import pytest

from model_core.evaluation.conformal import (
    LabelProbabilities,
    conformal_quantile,
    expected_calibration_error,
    fit_temperature,
)


def test_quantile_is_the_rank_that_split_conformal_prediction_asks_for() -> None:
    scores = np.array([0.4, 0.1, 0.3, 0.2])
    assert conformal_quantile(scores, 0.5) == 0.3  # ceil(5 * 0.5) = 3rd smallest
    assert conformal_quantile(scores, 0.8) == 0.4
    assert conformal_quantile(scores, 0.9) == math.inf  # too few examples to promise that


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_cover_as_often_as_asked(coverage: float) -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        scores = rng.exponential(size=200)
        covered.append((scores[100:] <= conformal_quantile(scores[:100], coverage)).mean())
    assert abs(np.mean(covered) - coverage) < 0.015


def test_calibration_error_by_hand() -> None:
    # Two bins: .9 twice, right once; .6 twice, right twice.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.6, 0.4]])
    given = LabelProbabilities(probabilities, np.array([0, 1, 1, 0]))
    assert expected_calibration_error(given) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)


def test_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20_000, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in true])
    sharp = LabelProbabilities(true, labels).at_temperature(0.5)
    assert fit_temperature(sharp) == pytest.approx(2.0, rel=0.05)
    mended = sharp.at_temperature(fit_temperature(sharp))
    assert expected_calibration_error(mended) < 0.2 * expected_calibration_error(sharp)


def test_temperature_one_changes_nothing() -> None:
    given = LabelProbabilities(np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([0, 1]))
    np.testing.assert_allclose(given.at_temperature(1.0).probabilities, given.probabilities)
    np.testing.assert_allclose(given.of_truth, [0.2, 0.5])
