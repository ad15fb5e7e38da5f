"""The likelihood test: values by hand, and its size and power on invented photos."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from model_core.evaluation.likelihood import PairedScores, photos_needed, signed_root

LEVEL = 0.05
NEEDED = NormalDist().inv_cdf(1 - LEVEL)


def test_root_by_hand() -> None:
    # sum log(1 + b v) = log(1 - b) + 3 log(1 + b) is largest at b = 1/2
    expected = math.sqrt(2 * (math.log(0.5) + 3 * math.log(1.5)))
    assert signed_root(np.array([-1.0, 1, 1, 1])) == pytest.approx(expected)
    assert signed_root(np.array([1.0, -1, -1, -1])) == pytest.approx(-expected)
    assert signed_root(np.array([-2.0, 1, 1])) == pytest.approx(0.0, abs=1e-6)


def test_values_on_one_side_of_zero_are_certain() -> None:
    assert signed_root(np.array([0.0, 0.1])) == math.inf
    assert signed_root(np.array([0.0, -0.1])) == -math.inf
    assert signed_root(np.zeros(3)) == 0.0


def test_losses_alone_give_the_likelihood_ratio_of_a_binomial() -> None:
    # 100 right answers, 4 lost and the invented one; a risk of 0.1 against 5 of 101
    full, early = np.ones(100), np.r_[np.zeros(4), np.ones(96)]
    lost, kept, limit = 5, 96, 0.1
    ratio = lost * math.log(lost / 101 / limit) + kept * math.log(kept / 101 / (1 - limit))
    assert PairedScores(full, early).evidence(1 - limit) == pytest.approx(math.sqrt(2 * ratio))


def test_gains_count_against_losses() -> None:
    full = np.r_[np.ones(60), np.zeros(40)]
    losing = np.r_[np.zeros(3), np.ones(57), np.zeros(40)]
    swapping = np.r_[np.zeros(3), np.ones(60), np.zeros(37)]
    lost, swapped = PairedScores(full, losing), PairedScores(full, swapping)
    assert lost.kept(0.95).estimate == pytest.approx(57 / 60)
    assert swapped.kept(0.95).estimate == 1.0
    assert swapped.evidence(0.9) > lost.evidence(0.9) > 0


def test_examples_of_one_photo_are_one_observation() -> None:
    full, early = np.array([1.0, 0, 1, 1]), np.array([1.0, 1, 0, 1])
    pairs = PairedScores.of_examples(full, early, ["a", "b", "a", "c"])
    assert pairs.full.tolist() == [2, 0, 1]
    assert pairs.early.tolist() == [1, 1, 1]


def test_worthless_full_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="full depth scores 0"):
        PairedScores.of_examples(np.zeros(2), np.ones(2), [1, 2])


def draw_photos(
    generator: np.random.Generator, num_photos: int, changed: float, kept: float
) -> PairedScores:
    """Scores of mean 0.55; a share of captions changes with standard deviation 0.5."""
    full = generator.gamma(1.3, 0.55 / 1.3, num_photos)
    differences = generator.normal((kept - 1) * 0.55 / changed, 0.5, num_photos)
    return PairedScores(full, full + (generator.random(num_photos) < changed) * differences)


def draw_labels(
    generator: np.random.Generator, num_photos: int, flipped: float, kept: float
) -> PairedScores:
    """Two pairs a photo, 62 % right at full depth; a share of answers flips, both ways."""
    full = (generator.random((num_photos, 2)) < 0.62).astype(float)
    lost = (flipped - (kept - 1) * 0.62) / 2
    luck = generator.random((num_photos, 2))
    early = np.where(full > 0, luck > lost / 0.62, luck < (flipped - lost) / 0.38).astype(float)
    return PairedScores(full.sum(axis=1), early.sum(axis=1))


@pytest.mark.parametrize(
    ("draw", "changed", "target"),
    [
        (draw_photos, 0.02, 0.99),
        (draw_photos, 0.1, 0.99),
        (draw_photos, 0.4, 0.97),
        (draw_photos, 0.05, 0.9),
        (draw_labels, 0.02, 0.99),
        (draw_labels, 0.2, 0.97),
    ],
)
def test_setting_at_the_limit_passes_no_more_often_than_the_level(
    draw: object, changed: float, target: float
) -> None:
    assert callable(draw)
    generator = np.random.default_rng(1)
    repeats = 400
    passes = sum(
        draw(generator, 1000, changed, target).evidence(target) >= NEEDED for _ in range(repeats)
    )
    # three standard errors of the simulation above the level
    assert passes / repeats <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / repeats)


@pytest.mark.parametrize(
    ("changed", "target", "least"), [(0.045, 0.99, 0.35), (0.02, 0.99, 0.6), (0.4, 0.97, 0.4)]
)
def test_setting_that_gains_as_much_as_it_loses_passes_as_often_as_documented(
    changed: float, target: float, least: float
) -> None:
    generator = np.random.default_rng(2)
    passes = [draw_photos(generator, 1000, changed, 1.0).evidence(target) for _ in range(300)]
    assert least < np.mean(np.array(passes) >= NEEDED) < least + 0.2


def test_bounds_are_where_the_tests_just_pass() -> None:
    pairs = draw_photos(np.random.default_rng(3), 300, 0.3, 1.0)
    kept = pairs.kept(0.9)
    assert kept.lower < kept.estimate < kept.upper
    assert pairs.evidence(kept.lower) == pytest.approx(NormalDist().inv_cdf(0.9), abs=1e-6)
    assert pairs.kept(0.95).lower < kept.lower
    # nothing depends on the unit of the scores
    scaled = PairedScores(10 * pairs.full, 10 * pairs.early).kept(0.9)
    assert scaled.lower == pytest.approx(kept.lower)
    assert scaled.upper == pytest.approx(kept.upper)


def test_no_change_is_shown_by_enough_photos_only() -> None:
    needed = photos_needed(0.99, 0.95)
    assert needed == 363
    same = np.linspace(0.1, 1.9, needed)
    assert PairedScores(same, same).evidence(0.99) >= NEEDED
    fewer = same[:-1]
    assert PairedScores(fewer, fewer).evidence(0.99) < NEEDED
    kept = PairedScores(same, same).kept(0.95)
    assert kept.lower < kept.estimate == 1.0 < kept.upper
