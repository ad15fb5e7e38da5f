"""The most that each family saves while it keeps a share of full depth's quality.

Read with care: the points are chosen on the split that they are measured on. Presets are chosen on
another one, and each stands for itself.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from model_core.evaluation.points import COPY_SUFFIX, FAMILIES, PRESETS
from model_core.evaluation.results import PointResult, SweepResults

SHARES = (0.99, 0.97, 0.95)
MISSING = "–"
SMALL_BATCH, LARGE_BATCH = 1, 16


class BarMeasure(NamedTuple):
    """A column: a measure, and what a point saves by it (None: not measured)."""

    name: str
    saved: Callable[[PointResult], float | None]


def _wall(size: int, *, has_stem: bool) -> BarMeasure:
    def saved(point: PointResult) -> float | None:
        if size not in point.times:
            return None
        times = point.times[size]
        return times.wall if has_stem else times.wall_without_stem

    return BarMeasure(f"time{', stem included' if has_stem else ''}, batch {size}", saved)


MEASURES = (
    BarMeasure("layers", lambda point: point.saving.layers),
    BarMeasure("layers without text", lambda point: point.layers_without_text),
    BarMeasure("FLOPs", lambda point: point.saving.flops),
    *(
        _wall(size, has_stem=has_stem)
        for size in (SMALL_BATCH, LARGE_BATCH)
        for has_stem in (True, False)
    ),
)
NOISE = 0.03
REMAINING = f"of it left at batch {LARGE_BATCH}"


def kept_share(results: SweepResults, point: PointResult) -> float:
    """The point's quality over full depth's."""
    return results.quality(point) / results.quality(results.full)


def remaining_share(point: PointResult) -> float | None:
    """Share of the saving at batch 1 (without the stem) that remains in a large batch.

    None where there was no more to save than two runs of one setting differ by.
    """
    if not {SMALL_BATCH, LARGE_BATCH} <= point.times.keys():
        return None
    alone = point.times[SMALL_BATCH].wall_without_stem
    return point.times[LARGE_BATCH].wall_without_stem / alone if alone > NOISE else None


def bar_rows(results: SweepResults, share: float) -> list[tuple[str, list[str]]]:
    """Name and cells of each family that keeps ``share``, and of each such preset."""
    families = [name for name in FAMILIES if not name.endswith(COPY_SUFFIX)]
    groups = [(f"`{family}`", results.family(family)) for family in families]
    groups += [(f"preset `{point.name}`", [point]) for point in results.family(PRESETS)]
    rows = []
    for name, points in groups:
        keeping = [point for point in points if kept_share(results, point) >= share]
        if keeping:
            rows.append((name, _cells(keeping)))
    return rows


def _cells(points: Sequence[PointResult]) -> list[str]:
    cells = []
    for measure in MEASURES:
        known = [saved for point in points if (saved := measure.saved(point)) is not None]
        cells.append(percent(max(known)) if known else MISSING)
    timed = [point for point in points if SMALL_BATCH in point.times]
    fastest = max(timed, key=lambda point: point.times[SMALL_BATCH].wall_without_stem, default=None)
    remaining = None if fastest is None else remaining_share(fastest)
    return [*cells, MISSING if remaining is None else percent(remaining)]


def percent(share: float) -> str:
    """``0.123`` as ``12.3 %``."""
    return f"{100 * share + 0.0:.1f} %".replace("-0.0 %", "0.0 %")
