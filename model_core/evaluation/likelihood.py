"""The test of a setting: how likely its scores are, had it kept less than the target.

Per photo there are the scores of full depth ``f`` and of the setting ``e``. The share kept is
``E[e] / E[f]``, so a setting keeps ``target`` exactly when ``E[e - target * f] >= 0``: one mean of
paired differences, whatever the metric. Its test is the empirical likelihood ratio (Owen,
Biometrika 1988) with the chi-squared limit, whose signed root stands against a normal quantile. It
counts what a setting gains as well as what it loses. For labels it is the likelihood-ratio test of
the ratio of two paired accuracies (photos with several pairs are one observation); for CIDEr, whose
scores are means once the document frequencies are fixed, it needs no assumption about their
distribution. The statistic is the log-wealth of the best fixed bet in hindsight that the mean is
above 0 (arXiv 2010.09686), with an asymptotic level in place of their exact one: an
exact bound for any scores from 0 to 10 could not even pass a setting that changes nothing.

One *invented photo* joins the data, on which full depth scores its mean and the setting 0 (for an
upper bound: twice the mean). Without it few changed answers would pass for certainty; with it the
test never passes a setting that changed nothing on fewer photos than ``photos_needed``. Adding an
observation is adjusted empirical likelihood (Chen, Variyath, Abraham 2008); which one, is ours.

Simulated (``tests/model_core/evaluation/test_likelihood.py``): with 300 or 1,000 photos of which
1 % to 40 % change, a setting at the limit passes with chance 0.01 to 0.07 at a level of 0.05, and
0.07 only where three photos change at all; at 1,000 photos never above 0.053. The percentile
bootstrap of the same data reaches 0.11, a t test 0.23 (docs/log.md, 2026-11-24).

What can be shown at all: with ``n`` photos of mean score ``m``, a setting that changes a share
``s`` of them with standard deviation ``d`` and gains as much as it loses passes with chance 1/2
(0.4 with the invented photo, at 0.99) if
``s * d**2 <= n * ((1 - target) * m / z)**2``, ``z`` being 1.645 at a confidence of 0.95. For 1,000
photos, ``m = 0.55`` and ``d = 0.5`` that is 4.5 % of the captions at a target of 0.99, 40 % at
0.97, and any share at 0.9 (for a chance of 0.8: 2 % and 18 %). Of 2,223 labels with 62 % right at
full depth, 3.2 % may flip at 0.99 and 28 % at 0.97. What changes more must gain, or it cannot be
shown, true or not.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

BISECTION_STEPS = 40
NEWTON_STEPS = 60
PRECISION = 1e-9


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


@dataclass(frozen=True)
class PairedScores:
    """Scores by photo, several examples about one photo added up.

    Attributes:
        full: ``(P,)`` at full depth, their mean above 0.
        early: ``(P,)`` of the setting on the same photos.
    """

    full: np.ndarray
    early: np.ndarray

    @classmethod
    def of_examples(
        cls, full: np.ndarray, early: np.ndarray, photos: Sequence[Hashable]
    ) -> "PairedScores":
        """Sums of ``(N,)`` scores by the ``N`` names of ``photos``.

        Raises:
            ValueError: Full depth scores 0.
        """
        if full.sum() <= 0:
            raise ValueError("full depth scores 0: there is no quality to keep a share of")
        numbers = {photo: number for number, photo in enumerate(dict.fromkeys(photos))}
        places = [numbers[photo] for photo in photos]
        return cls(np.bincount(places, full), np.bincount(places, early))

    def evidence(self, target: float) -> float:
        """Standard errors by which the setting keeps more than ``target``; negative: less.

        The signed root of the likelihood ratio; a test passes when it reaches the normal quantile
        of the confidence.
        """
        return self._root(target, invented=0.0)

    def kept(self, confidence: float) -> KeptShare:
        """The share kept, with the bounds at which the tests of either side would just pass."""
        limit = NormalDist().inv_cdf(confidence)
        estimate = float(self.early.sum() / self.full.sum())
        reach = max(1.0, 2 * estimate)
        while self._root(reach, invented=2.0) > -limit:
            reach *= 2
        return KeptShare(
            lower=_crossing(lambda share: self._root(share, 0.0) - limit, 0.0, estimate),
            estimate=estimate,
            upper=_crossing(lambda share: self._root(share, 2.0) + limit, estimate, reach),
        )

    def _root(self, share: float, invented: float) -> float:
        mean = self.full.mean()
        return signed_root(np.append(self.early - share * self.full, (invented - share) * mean))


def signed_root(values: np.ndarray) -> float:
    """Signed root of ``-2 log`` empirical likelihood ratio of "the mean of ``(N,)`` values is 0".

    Infinite where no value, or every one, is below 0: then no weights have that mean. The sign is
    that of the mean.
    """
    low, high = float(values.min()), float(values.max())
    if low >= 0 or high <= 0:
        return math.copysign(math.inf, low + high) if low + high else 0.0
    bet = _best_bet(values)
    ratio = 2 * float(np.log1p(bet * values).sum())
    return math.copysign(math.sqrt(max(0.0, ratio)), float(values.mean()))


def _best_bet(values: np.ndarray) -> float:
    """The bet that makes ``sum(log(1 + bet * values))`` largest: Newton's steps, kept in bounds."""
    low, high = -1 / float(values.max()), -1 / float(values.min())
    bet = 0.0
    for _ in range(NEWTON_STEPS):
        shares = values / (1 + bet * values)
        slope = float(shares.sum())  # falls with the bet
        if slope > 0:
            low = bet
        else:
            high = bet
        step = slope / float(shares @ shares)
        if abs(step) <= PRECISION * (high - low):
            break
        bet = bet + step if low < bet + step < high else (low + high) / 2
    return bet


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function goes through 0."""
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def photos_needed(target: float, confidence: float) -> int:
    """Fewest photos on which a setting that changes nothing is shown to keep ``target``."""
    low, high = 0, 1
    while not _is_shown(high, target, confidence):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_shown(middle, target, confidence) else (middle, high)
    return high


def _is_shown(num_photos: int, target: float, confidence: float) -> bool:
    same = np.ones(num_photos)
    return PairedScores(same, same).evidence(target) >= NormalDist().inv_cdf(confidence)
