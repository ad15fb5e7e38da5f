"""The question of a sweep: is a dynamic policy better than leaving at a fixed depth of equal cost?

The fixed-depth curve is the upper edge of all that fixed settings reach, linear between those on
it: requests sent to one of two depths by a coin have that cost and that quality on average. So a
setting that is worse than such a mixture of two others is not on the curve.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from model_core.evaluation.intervals import CONFIDENCE
from model_core.evaluation.points import (
    FIXED_DECODER,
    FIXED_FAMILIES,
    FIXED_IMAGE,
    FIXED_TEXT,
    FULL,
    JOINT_SUFFIX,
    PRESETS,
)
from model_core.evaluation.results import PointResult, SweepResults
from model_core.evaluation.score_file import ExampleScores
from model_core.policies import ExitSite


class MeasuredSweep(NamedTuple):
    """A sweep, and the scores of its examples where they were kept."""

    results: SweepResults
    scores: ExampleScores | None


@dataclass(frozen=True)
class Measure:
    """A measure of cost.

    Attributes:
        name: As it stands in a sentence.
        saved: Share of full depth's cost that a point saves; None where it was not measured.
    """

    name: str
    saved: Callable[[PointResult], float | None]


def measures_of(results: SweepResults, sizes: Sequence[int] | None = None) -> list[Measure]:
    """Layers, operations, and the time without the stem at batch sizes that were measured.

    Args:
        results: Of a sweep.
        sizes: Of these batch sizes only; all when None.
    """
    found = [
        Measure("layers", lambda point: point.saving.layers),
        Measure("FLOPs", lambda point: point.saving.flops),
    ]
    measured = results.batch_sizes
    return found + [time_measure(size) for size in measured if sizes is None or size in sizes]


def time_measure(size: int) -> Measure:
    """Time of encoder and decoder at one batch size."""

    def saved(point: PointResult) -> float | None:
        return point.times[size].wall_without_stem if size in point.times else None

    return Measure(f"ms at batch {size}", saved)


class Verdict(StrEnum):
    """Where a point lies; ``LEVEL`` when the interval of the difference holds 0."""

    ABOVE = "above"
    LEVEL = "level with it"
    BELOW = "below"
    BEYOND = "cheaper than any fixed depth"


@dataclass(frozen=True)
class Comparison:
    """A point beside the fixed-depth curve at the same cost.

    Attributes:
        saved: Share of full depth's cost that it saves.
        difference: Its quality less the curve's; None beyond the curve.
        low: Of the paired interval of the difference; None where scores were not kept.
        high: The same.
    """

    saved: float
    difference: float | None
    low: float | None = None
    high: float | None = None

    @property
    def verdict(self) -> Verdict:
        """In a word; without an interval, by the sign of the difference."""
        if self.difference is None:
            return Verdict.BEYOND
        low = self.difference if self.low is None else self.low
        high = self.difference if self.high is None else self.high
        if low > 0:
            return Verdict.ABOVE
        return Verdict.BELOW if high < 0 else Verdict.LEVEL


def baseline_families(family: str) -> Sequence[str]:
    """The fixed families that a family is set against: those of its own exit site.

    What leaves at several sites is set against every fixed setting there is, mixed ones included.
    """
    if family in (PRESETS, *FIXED_FAMILIES) or family.endswith(JOINT_SUFFIX):
        return FIXED_FAMILIES
    if family.endswith(f"_{ExitSite.IMAGE}"):
        return (FIXED_IMAGE,)
    return (FIXED_TEXT,) if family.endswith(f"_{ExitSite.TEXT}") else (FIXED_DECODER,)


def fixed_curve(
    results: SweepResults, families: Sequence[str], measure: Measure
) -> list[tuple[float, PointResult]]:
    """Shares saved and points on the upper edge, most saved first, up to the best quality."""
    points = [point for family in (FULL, *families) for point in results.family(family)]
    known = [(saved, point) for point in points if (saved := measure.saved(point)) is not None]
    curve: list[tuple[float, PointResult]] = []
    for saved, point in sorted(known, key=lambda item: (-item[0], -results.quality(item[1]))):
        if not curve or results.quality(point) > results.quality(curve[-1][1]):
            while len(curve) > 1 and _is_steeper(results, curve[-2:], (saved, point)):
                curve.pop()
            curve.append((saved, point))
    return curve


def _is_steeper(
    results: SweepResults,
    last: Sequence[tuple[float, PointResult]],
    new: tuple[float, PointResult],
) -> bool:
    """True when the way to the new point is at least as steep as the last piece of the curve."""
    (more, cheap), (less, dear) = last
    saved, point = new
    gained = results.quality(dear) - results.quality(cheap)
    gains = results.quality(point) - results.quality(dear)
    return gains * (more - less) >= gained * (less - saved)


def compare(sweep: MeasuredSweep, point: PointResult, measure: Measure) -> Comparison | None:
    """``point`` beside the curve of its family's baseline; None where it has no such cost.

    A point that saves less than the curve's dearest setting is set against that one.
    """
    saved, families = measure.saved(point), baseline_families(point.family)
    fixed = [fixed for family in families for fixed in sweep.results.family(family)]
    if saved is None or all(measure.saved(setting) is None for setting in fixed):
        return None
    curve = fixed_curve(sweep.results, families, measure)
    if saved > curve[0][0]:
        return Comparison(saved, None)
    mixture = _mixture(curve, saved)
    of_curve = sum(share * sweep.results.quality(fixed) for share, fixed in mixture)
    difference = sweep.results.quality(point) - of_curve
    return Comparison(saved, difference, *_interval(sweep.scores, point, mixture))


def _mixture(
    curve: Sequence[tuple[float, PointResult]], saved: float
) -> list[tuple[float, PointResult]]:
    """Shares of two neighbours on the curve that save ``saved`` together."""
    for (more, cheap), (less, dear) in pairwise(curve):
        if less <= saved <= more:
            share = (saved - less) / (more - less) if more > less else 0.0
            return [(share, cheap), (1 - share, dear)]
    return [(1.0, curve[-1][1])]


def _interval(
    scores: ExampleScores | None, point: PointResult, mixture: Sequence[tuple[float, PointResult]]
) -> tuple[float | None, float | None]:
    keys = [point.key, *(fixed.key for _, fixed in mixture)]
    if scores is None or not set(keys) <= set(scores.of_points):
        return None, None
    given, *others = (scores.of_points[key] for key in keys)
    shares = [share for share, _ in mixture]
    of_curve = sum(share * other for share, other in zip(shares, others, strict=True))
    differences = scores.weights @ (given - of_curve) / scores.weights.sum(axis=1)
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return low, high
