"""Points on the axes of a plot, and the curve of fixed depths among them.

The curve is the upper edge of all that fixed depths reach, straight between those on it: requests
sent to one of two depths by a coin have that cost and that quality on average.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from app.benchmark.results import Benchmark, BenchmarkPoint


class Cost(StrEnum):
    """What is saved."""

    LAYERS = "layers"
    FLOPS = "FLOPs"
    TIME = "time without the stem"
    WHOLE_TIME = "time"


@dataclass(frozen=True)
class Axes:
    """What a plot shows: the cost, the batch size of times, and the metric."""

    cost: Cost
    size: int | None
    metric: str


@dataclass(frozen=True)
class Spot:
    """One point on the axes; ``number`` is its place in the file."""

    number: int
    point: BenchmarkPoint
    saved: float
    quality: float
    low: float
    high: float


def saved_share(point: BenchmarkPoint, axes: Axes) -> float | None:
    """The share of full depth's cost that a point saves; None where it was not measured."""
    if axes.cost is Cost.LAYERS:
        return point.saving.layers
    if axes.cost is Cost.FLOPS:
        return point.saving.flops
    times = point.times.get(axes.size or 0)
    if times is None:
        return None
    return times.wall_without_stem if axes.cost is Cost.TIME else times.wall


def spots_of(benchmark: Benchmark, axes: Axes) -> list[Spot]:
    """The points that have a place on the axes."""
    spots = []
    for number, point in enumerate(benchmark.points):
        saved, estimate = saved_share(point, axes), point.metrics.get(axes.metric)
        if saved is not None and estimate is not None:
            spots.append(Spot(number, point, saved, estimate.value, estimate.low, estimate.high))
    return spots


def fixed_curve(spots: Sequence[Spot]) -> list[tuple[float, float]]:
    """(share saved, quality) along the upper edge of the fixed depths, most saved first."""
    fixed = [spot for spot in spots if spot.point.is_fixed]
    edge: list[tuple[float, float]] = []
    for spot in sorted(fixed, key=lambda spot: (-spot.saved, -spot.quality)):
        if edge and spot.quality <= edge[-1][1]:
            continue
        new = (spot.saved, spot.quality)
        while len(edge) > 1 and is_steeper(edge[-2], edge[-1], new):
            edge.pop()
        edge.append(new)
    return edge


def is_steeper(
    cheap: tuple[float, float], dear: tuple[float, float], new: tuple[float, float]
) -> bool:
    """True when the way to the new place is at least as steep as the piece before it."""
    gained, gains = dear[1] - cheap[1], new[1] - dear[1]
    return gains * (cheap[0] - dear[0]) >= gained * (dear[0] - new[0])


def quality_on(edge: Sequence[tuple[float, float]], saved: float) -> float | None:
    """The curve's quality at a cost; None where it is cheaper than any fixed depth."""
    if not edge or saved > edge[0][0]:
        return None
    for (more, cheap), (less, dear) in pairwise(edge):
        if less <= saved <= more:
            share = (saved - less) / (more - less) if more > less else 0.0
            return share * cheap + (1 - share) * dear
    return edge[-1][1]
