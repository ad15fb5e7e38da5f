"""Bounds and resampling, by hand."""

import math

import numpy as np
import pytest

from model_core.evaluation.statistics import (
    binomial_tail,
    binomial_upper_bound,
    examples_needed,
    kept_by_bootstrap,
    kept_by_losses,
    resample_weights,
)


@pytest.mark.parametrize(
    ("successes", "trials", "probability", "expected"),
    [
        (0, 10, 0.1, 0.9**10),
        (1, 3, 0.5, 4 / 8),  # 000, 100, 010, 001
        (2, 3, 0.25, 1 - 1 / 64),
        (3, 3, 0.25, 1.0),
        (0, 5, 0.0, 1.0),
        (4, 5, 1.0, 0.0),
        (0, 0, 0.3, 1.0),
    ],
)
def test_binomial_tail_by_hand(
    successes: int, trials: int, probability: float, expected: float
) -> None:
    assert binomial_tail(successes, trials, probability) == pytest.approx(expected, rel=1e-12)


def test_no_loss_in_n_gives_the_bound_by_hand() -> None:
    # (1 - r)^n = 0.05 at the bound
    assert binomial_upper_bound(0, 100, 0.95) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert binomial_upper_bound(3, 3, 0.95) == 1.0
    assert binomial_upper_bound(0, 0, 0.95) == 1.0


@pytest.mark.parametrize(("losses", "trials"), [(0, 30), (4, 300), (50, 100)])
def test_bound_is_where_the_p_value_crosses_the_level(losses: int, trials: int) -> None:
    bound = binomial_upper_bound(losses, trials, 0.9)
    assert binomial_tail(losses, trials, bound + 1e-6) < 0.1
    assert binomial_tail(losses, trials, bound - 1e-6) > 0.1


def test_examples_needed_is_the_first_number_that_passes() -> None:
    needed = examples_needed(0.99, 0.95)
    assert needed == 299
    assert 1 - binomial_upper_bound(0, needed, 0.95) >= 0.99
    assert 1 - binomial_upper_bound(0, needed - 1, 0.95) < 0.99


def test_only_losses_count_among_what_full_depth_gets_right() -> None:
    full = np.array([1.0, 1, 1, 1, 0, 0])
    early = np.array([1.0, 0, 1, 1, 1, 1])
    kept = kept_by_losses(full, early, 0.95)
    assert kept.estimate == 3 / 4
    # lower: 1 of 4 lost or fewer has chance 0.05; upper: 3 of 4 kept or fewer has chance 0.05
    assert binomial_tail(1, 4, 1 - kept.lower) == pytest.approx(0.05)
    assert kept.upper == pytest.approx(0.95 ** (1 / 4))


def test_nothing_right_at_full_depth_shows_nothing() -> None:
    kept = kept_by_losses(np.zeros(3), np.ones(3), 0.95)
    assert (kept.lower, kept.estimate) == (0.0, 0.0)


def test_a_risk_above_the_limit_passes_no_more_often_than_allowed() -> None:
    # exact: the chance that losses of rate 0.02 are few enough to show a rate of at most 0.01
    trials, limit, confidence = 1000, 0.01, 0.95
    passing = [
        losses for losses in range(40) if binomial_upper_bound(losses, trials, confidence) <= limit
    ]
    assert passing == [0, 1, 2, 3, 4]
    assert binomial_tail(passing[-1], trials, 0.02) < 0.001
    assert binomial_tail(passing[-1], trials, limit) <= 1 - confidence


def test_bootstrap_shares_by_hand() -> None:
    full, early = np.array([2.0, 4.0]), np.array([2.0, 1.0])
    # the invented photo scores 3 at full depth and 0 now
    weights = np.array([[1.0, 1, 1], [2, 0, 1], [0, 3, 0]])
    shares = sorted([3 / 9, 4 / 7, 3 / 12])
    kept = kept_by_bootstrap(full, early, weights, 0.75)
    assert kept.estimate == 3 / 6
    assert kept.lower == pytest.approx(np.quantile(shares, 0.25))
    assert kept.upper == pytest.approx(np.quantile(shares, 0.75))


@pytest.mark.parametrize("photos", [50, 300, 1000])
def test_no_change_gets_about_the_bound_of_the_binomial_test(photos: int) -> None:
    scores = np.linspace(0.5, 1.5, photos)
    weights = resample_weights(range(photos + 1), seed=1, num_resamples=5000)
    kept = kept_by_bootstrap(scores, scores, weights, 0.95)
    assert kept.estimate == 1.0
    assert kept.lower == pytest.approx(1 - binomial_upper_bound(0, photos, 0.95), abs=0.3 / photos)
    assert kept.upper <= 1.0


def test_bootstrap_rarely_passes_a_setting_that_keeps_too_little() -> None:
    rng = np.random.default_rng(0)
    weights = resample_weights(range(301), seed=0, num_resamples=500)
    passes = 0
    for _ in range(300):
        full = rng.gamma(2.0, 0.4, 300)
        is_hit = rng.random(300) < 0.06  # on average 0.06 * 0.5 = 3 % is lost
        early = full * np.where(is_hit, rng.random(300), 1.0)
        passes += kept_by_bootstrap(full, early, weights, 0.9).lower >= 0.975
    assert passes <= 0.1 * 300


def test_bootstrap_refuses_what_it_cannot_use() -> None:
    weights = np.ones((2, 3))
    with pytest.raises(ValueError, match="full depth scores 0"):
        kept_by_bootstrap(np.zeros(2), np.ones(2), weights, 0.9)
    with pytest.raises(ValueError, match=r"weights: 3 columns for 4 \+ 1 photos"):
        kept_by_bootstrap(np.ones(4), np.ones(4), weights, 0.9)


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 2, 1.5), "probability: 1.5 must be between 0 and 1"),
        ((3, 2, 0.5), "successes: 3 must be between 0 and trials: 2"),
    ],
)
def test_impossible_counts_are_refused(arguments: tuple[int, int, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        binomial_tail(*arguments)
