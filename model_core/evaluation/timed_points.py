"""Which points of a sweep are timed: enough for the curves, few enough for one sitting.

Quality and counted work are cheap; a time needs every setting beside full depth, photo by photo, at
every batch size.
"""

from model_core.evaluation.points import (
    COPY_SUFFIX,
    FAMILIES,
    FIXED_DECODER,
    FIXED_IMAGE,
    FIXED_JOINT,
    FULL,
    PRESETS,
)
from model_core.evaluation.results import PointResult, SweepResults
from model_core.policies import FixedDepthPolicy

TIMED_FIXED_FAMILIES = (FIXED_DECODER, FIXED_IMAGE, FIXED_JOINT)
TIMED_DEPTHS = (2, 3, 4)
TIMED_SHARES = (0.99, 0.95)  # of full depth's quality


def points_to_time(results: SweepResults) -> list[PointResult]:
    """Full depth, presets, some fixed depths, and of every other family what keeps a share.

    Of those: the cheapest point (in operations, then in layers) that keeps each of
    ``TIMED_SHARES``, or the best where none keeps any. Not the approximate catch-up rule, which is
    shown for its quality, and not beams.
    """
    chosen = [*results.family(FULL), *results.family(PRESETS)]
    for family in FAMILIES:
        points = results.family(family)
        if family in TIMED_FIXED_FAMILIES:
            chosen += [point for point in points if _has_timed_depth(point)]
        elif points and not family.endswith(COPY_SUFFIX):
            chosen += _cheapest(results, points)
    return chosen


def _has_timed_depth(point: PointResult) -> bool:
    assert point.exits is not None
    depths = {
        policy.depth
        for policy in (point.exits.image, point.exits.decoder)
        if isinstance(policy, FixedDepthPolicy)
    }
    return bool(depths) and max(depths) in TIMED_DEPTHS


def _cheapest(results: SweepResults, points: list[PointResult]) -> list[PointResult]:
    quality = {point.key: point.metrics[results.metric].value for point in points}
    full = results.full.metrics[results.metric].value
    found: dict[str, PointResult] = {}
    for share in TIMED_SHARES:
        keeping = [point for point in points if quality[point.key] >= share * full]
        if keeping:
            best = max(keeping, key=lambda point: (point.saving.flops, point.saving.layers))
            found[best.key] = best
    return list(found.values()) or [max(points, key=lambda point: quality[point.key])]
