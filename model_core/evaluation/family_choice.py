"""Which point of a family stands for it at a share of full depth's quality."""

from collections.abc import Sequence

from model_core.evaluation.results import PointResult, SweepResults


def cheapest(
    results: SweepResults, points: Sequence[PointResult], share: float
) -> PointResult | None:
    """The point that saves most (in operations, then in layers) among those that keep ``share``."""
    enough = share * results.quality(results.full)
    keeping = [point for point in points if results.quality(point) >= enough]
    return max(keeping, key=lambda point: (point.saving.flops, point.saving.layers), default=None)


def tuned(
    results: SweepResults, tuning: SweepResults, family: str, share: float
) -> PointResult | None:
    """The point of ``results`` whose setting is the cheapest that keeps ``share`` in ``tuning``.

    None where nothing keeps it there, or where it was not measured here.
    """
    chosen = cheapest(tuning, tuning.family(family), share)
    return None if chosen is None else results.find(chosen.key)
