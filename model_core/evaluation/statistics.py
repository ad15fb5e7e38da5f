"""How sure a measured quality is: exact binomial bounds, and a paired bootstrap over photos.

A setting *keeps* a share of full depth's quality; ``KeptShare`` is that share with its one-sided
confidence bounds. A test of level ``1 - confidence`` that a setting keeps at least ``target``
passes exactly when ``lower >= target``.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 2000
BISECTION_STEPS = 60


@dataclass(frozen=True)
class KeptShare:
    """Share of full depth's quality that a setting keeps.

    Attributes:
        lower: Bound that the true share exceeds with the confidence asked for.
        estimate: The share as measured.
        upper: Bound that the true share stays below with the same confidence.
    """

    lower: float
    estimate: float
    upper: float


def binomial_tail(successes: int, trials: int, probability: float) -> float:
    """``P(X <= successes)`` of ``X ~ Binomial(trials, probability)``.

    With ``probability`` the largest risk allowed, it is the p-value of "the risk is larger" after
    ``successes`` losses in ``trials``.

    Raises:
        ValueError: ``probability`` is not in 0..1, or ``successes`` not in 0..``trials``.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability: {probability} must be between 0 and 1")
    if not 0 <= successes <= trials:
        raise ValueError(f"successes: {successes} must be between 0 and trials: {trials}")
    if probability in (0.0, 1.0):
        return float(probability == 0.0 or successes == trials)
    log_one, log_other = math.log(probability), math.log1p(-probability)
    terms = (
        math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
        + count * log_one + (trials - count) * log_other
        for count in range(successes + 1)
    )  # fmt: skip
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def binomial_upper_bound(successes: int, trials: int, confidence: float) -> float:
    """The risk that so few ``successes`` rule out: one-sided Clopper-Pearson bound.

    It is at most a limit exactly when ``binomial_tail(successes, trials, limit)`` is at most
    ``1 - confidence``. 1.0 for no trials.
    """
    if successes == trials:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if binomial_tail(successes, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def kept_by_losses(full: np.ndarray, early: np.ndarray, confidence: float) -> KeptShare:
    """Share kept of what full depth gets right; the bounds are exact for any number of examples.

    Only losses count (right at full depth, wrong now): among the examples that full depth
    gets right they are binomial, whatever the accuracy is. Examples that only the early exit gets
    right are not set against them, so the true share of the accuracy is at least this one.
    Examples are taken as independent; several about one photo are nearly so.

    Args:
        full: ``(N,)`` 1 where full depth is right, else 0.
        early: ``(N,)`` the same of the setting.
        confidence: Of each bound.

    Source: the binomial p-value of arXiv 2110.01052, with the risk relative to the full model as in
    arXiv 2207.07061; conditioning on what full depth gets right is our choice.
    """
    of_right = early[full > 0]
    num_right = len(of_right)
    num_lost = int((of_right == 0).sum())
    return KeptShare(
        lower=1 - binomial_upper_bound(num_lost, num_right, confidence),
        estimate=1 - num_lost / num_right if num_right else 0.0,
        upper=binomial_upper_bound(num_right - num_lost, num_right, confidence),
    )


def kept_by_bootstrap(
    full: np.ndarray, early: np.ndarray, weights: np.ndarray, confidence: float
) -> KeptShare:
    """Share kept of a mean of per-photo scores, with percentile bounds over resampled photos.

    One invented photo on which full depth scores its mean and the setting 0 joins the resampling
    (not the estimate). Without it, a setting that changed nothing on a few photos would pass for
    certain; with it, such a setting gets the bound of the binomial test.

    Args:
        full: ``(N,)`` scores at full depth, their mean above 0.
        early: ``(N,)`` scores of the setting on the same photos.
        weights: ``(R, N + 1)`` of ``resample_weights``, the invented photo last.
        confidence: Of each bound.

    Raises:
        ValueError: Full depth scores 0, or ``weights`` is for another number of photos.
    """
    if full.mean() <= 0:
        raise ValueError("full depth scores 0: there is no quality to keep a share of")
    if weights.shape[1] != len(full) + 1:
        raise ValueError(f"weights: {weights.shape[1]} columns for {len(full)} + 1 photos")
    of_full = weights @ np.append(full, full.mean())
    of_early = weights @ np.append(early, 0.0)
    shares = np.divide(of_early, of_full, out=np.zeros_like(of_early), where=of_full > 0)
    lower, upper = np.quantile(shares, [1 - confidence, confidence]).tolist()
    return KeptShare(lower, float(early.mean() / full.mean()), upper)


def resample_weights(
    groups: Sequence[Hashable], seed: int, num_resamples: int = NUM_RESAMPLES
) -> np.ndarray:
    """``(R, N)`` how often each example is drawn when whole groups are drawn with replacement.

    Args:
        groups: ``N`` names; examples about one photo are drawn together.
        seed: Of the draws.
        num_resamples: R.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    count = len(numbers)
    draws = np.random.default_rng(seed).multinomial(count, [1 / count] * count, num_resamples)
    of_example: np.ndarray = draws[:, [numbers[group] for group in groups]]
    return of_example.astype(np.float64)


def examples_needed(target: float, confidence: float) -> int:
    """Fewest examples with which a setting that loses nothing is shown to keep ``target``."""
    return math.ceil(math.log(1 - confidence) / math.log(target))
