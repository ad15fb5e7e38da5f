"""Resampling of photos."""

import math

import pytest

from model_core.evaluation.statistics import resample_weights


def test_examples_of_one_photo_are_drawn_together() -> None:
    weights = resample_weights(["a", "b", "a", "c"], seed=3, num_resamples=400)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights[:, 1].mean() == pytest.approx(1.0, abs=0.15)
    # a photo is left out of a resample with chance (1 - 1/3)^3
    assert (weights[:, 3] == 0).mean() == pytest.approx((2 / 3) ** 3, abs=0.08)


def test_same_seed_draws_the_same() -> None:
    first, second = (resample_weights(range(9), seed=5, num_resamples=4) for _ in range(2))
    assert (first == second).all()
    assert not math.isclose((first - resample_weights(range(9), 6, 4)).std(), 0.0)
