"""Which points of a sweep are timed: enough for the curves, few enough for one sitting.

Quality and counted work are cheap; a time needs every setting beside full depth, photo by photo, at
every batch size.
"""

from model_core.evaluation.family_choice import cheapest, tuned
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

TIMED_FIXED_FAMILIES = (FIXED_DECODER, FIXED_IMAGE, FIXED_JOINT)
TIMED_SHARES = (0.99, 0.95)  # of full depth's quality


def points_to_time(results: SweepResults, tuning: SweepResults | None = None) -> list[PointResult]:
    """Full depth, presets, fixed depths, and of every other family what keeps a share.

    Of those: the cheapest point that keeps each of ``TIMED_SHARES``, or the best where none keeps
    any. Not the approximate catch-up rule, which is shown for its quality, and not beams.

    Args:
        results: The sweep.
        tuning: The same families on another split, on which those points are chosen; chosen on
            the sweep itself when None.
    """
    chosen = [*results.family(FULL), *results.family(PRESETS)]
    for family in FAMILIES:
        points = results.family(family)
        if family in TIMED_FIXED_FAMILIES:
            chosen += points
        elif points and not family.endswith(COPY_SUFFIX):
            chosen += _representatives(results, tuning, family)
    return chosen


def _representatives(
    results: SweepResults, tuning: SweepResults | None, family: str
) -> list[PointResult]:
    points = results.family(family)
    found = [
        cheapest(results, points, share)
        if tuning is None
        else tuned(results, tuning, family, share)
        for share in TIMED_SHARES
    ]
    kept = {point.key: point for point in found if point is not None}
    return list(kept.values()) or [max(points, key=results.quality)]
