"""The two figures of the README: quality against layers saved, and against milliseconds.

One panel per sweep. The curve to beat is that of the fixed depths; what leaves at the decoder alone
is to be held against the fixed depths of the decoder.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model_core.evaluation.fixed_curve import Measure, MeasuredSweep, fixed_curve, time_measure
from model_core.evaluation.plots import COLOURS, STYLE
from model_core.evaluation.points import (
    COPY_SUFFIX,
    FAMILIES,
    FIXED_DECODER,
    FIXED_FAMILIES,
    ORACLE,
    PRESETS,
)
from model_core.evaluation.results import PointResult, SweepResults
from model_core.evaluation.tables import metric_label
from model_core.policies import ExitSite

SHOWN_SHARE = (
    0.85  # of full depth's quality: what lies lower is no choice, and would flatten the rest
)
TIMED_BATCH = 1
MARKERS = "ov^DPX<>ph8d"
BLACK, GREY, GOLD = "#000000", "#8a8a8a", "#F0B000"


class Overview(NamedTuple):
    """A figure.

    Attributes:
        title: What it shows.
        label: Of the cost axis, towards the better side.
        measure: The cost.
        place: A saved share as the position on the axis.
    """

    title: str
    label: str
    measure: Measure
    place: Callable[[SweepResults, float], float]

    def has_points(self, results: SweepResults) -> bool:
        """True when something beside full depth has such a cost."""
        return sum(self.measure.saved(point) is not None for point in results.points) > 1


def _milliseconds(results: SweepResults, saved: float) -> float:
    # Full depth's time less the saving: full depth was measured beside every point, while the
    # machine may have been slower for one point than for another.
    return results.full.times[TIMED_BATCH].ms_without_stem.median * (1 - saved)


OVERVIEWS: Mapping[str, Overview] = {
    "quality-by-layers": Overview(
        "Quality against layers saved",
        "layers saved (%)  →",
        Measure("layers", lambda point: point.saving.layers),
        lambda _, saved: 100 * saved,
    ),
    "quality-by-milliseconds": Overview(
        f"Quality against time without the stem, batch {TIMED_BATCH}",
        f"←  ms per answer without stem, batch {TIMED_BATCH}",
        time_measure(TIMED_BATCH),
        _milliseconds,
    ),
}


def overview_figure(sweeps: Mapping[str, MeasuredSweep], overview: Overview) -> Figure:
    """A panel per sweep side by side, one legend below."""
    shown = [sweep.results for sweep in sweeps.values() if overview.has_points(sweep.results)]
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(3.4 * len(shown) + 0.4, 4.4), layout="constrained")
        drawn.suptitle(overview.title)
        axes = drawn.subplots(1, len(shown), squeeze=False)[0]
        for axis, results in zip(axes, shown, strict=True):
            _panel(axis, results, overview)
        labels: dict[str, Any] = {}
        for axis in axes:
            handles, names = axis.get_legend_handles_labels()
            labels |= dict(zip(names, handles, strict=True))
        drawn.legend(
            labels.values(), labels.keys(), loc="outside lower center", ncols=4, frameon=False
        )
    return drawn


def save_overview(sweeps: Mapping[str, MeasuredSweep], overview: Overview, path: Path) -> None:
    """Write the figure as SVG; the same results give the same file."""
    with mpl.rc_context(STYLE):
        drawn = overview_figure(sweeps, overview)
        drawn.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _panel(axis: Axes, results: SweepResults, overview: Overview) -> None:
    axis.set_title(f"{results.task}, {results.split}", fontsize=9)
    axis.set_xlabel(overview.label)
    axis.set_ylabel(metric_label(results.metric))
    axis.grid(visible=True, alpha=0.25)
    full = results.full.metrics[results.metric]
    axis.axhline(full.value, color=BLACK, lw=0.7, ls=":")
    fixed = [point for _, point in fixed_curve(results, FIXED_FAMILIES, overview.measure)]
    _draw(
        axis, results, overview, fixed, label="fixed depths, best of all sites", color=BLACK, lw=1.8
    )
    decoder = [*results.family(FIXED_DECODER), results.full]
    look = {"color": GREY, "ls": "--", "marker": "s", "ms": 4}
    _draw(axis, results, overview, decoder, label="fixed depths of the decoder", **look)
    for style, family in zip(_styles(), _dynamic_families(), strict=False):
        _draw(axis, results, overview, results.family(family), label=family, **style)
    _presets(axis, results, overview)
    oracle = [point for point in results.family(ORACLE) if point.name == ExitSite.DECODER]
    star = {"color": GOLD, "marker": "*", "ms": 13, "mec": BLACK, "mew": 0.5, "ls": "none"}
    _draw(axis, results, overview, oracle, label="oracle of the decoder", **star)
    marker = {"color": BLACK, "marker": "D", "ms": 7, "ls": "none"}
    _draw(axis, results, overview, [results.full], label="full depth", **marker)
    _limit(axis, results)


def _dynamic_families() -> list[str]:
    """Those of the decoder, and of all three sites."""
    sites = (f"_{ExitSite.IMAGE}", f"_{ExitSite.TEXT}")
    names = [name for name in FAMILIES if name not in FIXED_FAMILIES]
    return [name for name in names if not name.endswith((COPY_SUFFIX, *sites))]


def _styles() -> list[dict[str, Any]]:
    pairs = zip(COLOURS, MARKERS, strict=True)
    return [{"color": colour, "marker": marker, "ms": 5.5, "lw": 1.3} for colour, marker in pairs]


def _presets(axis: Axes, results: SweepResults, overview: Overview) -> None:
    look = {"color": BLACK, "marker": "s", "ms": 8, "ls": "none", "mfc": "white", "mew": 1.4}
    presets = results.family(PRESETS)
    _draw(axis, results, overview, presets, label="presets", zorder=5, **look)
    for number, (place, quality, point) in enumerate(_positions(results, overview, presets)):
        axis.annotate(
            point.name,
            (place, quality),
            xytext=(0, 9 if number % 2 == 0 else -15),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            zorder=6,
            annotation_clip=True,
        )


def _positions(
    results: SweepResults, overview: Overview, points: Sequence[PointResult]
) -> list[tuple[float, float, PointResult]]:
    """Place on the cost axis, quality and point, along the axis."""
    found = [
        (overview.place(results, saved), point.metrics[results.metric].value, point)
        for point in points
        if (saved := overview.measure.saved(point)) is not None
    ]
    return sorted(found, key=lambda item: item[:2])


def _draw(
    axis: Axes,
    results: SweepResults,
    overview: Overview,
    points: Sequence[PointResult],
    **look: Any,
) -> None:
    known = _positions(results, overview, points)
    if not known:
        return
    metrics = [point.metrics[results.metric] for *_, point in known]
    # Paired: that of the value itself is as wide for every point.
    below = [max(0.0, metric.difference - metric.difference_low) for metric in metrics]
    above = [max(0.0, metric.difference_high - metric.difference) for metric in metrics]
    places, values = [place for place, *_ in known], [quality for _, quality, _ in known]
    bars: dict[str, Any] = {"elinewidth": 0.8, "capsize": 0}
    _, _, lines = axis.errorbar(places, values, yerr=[below, above], **bars | look)
    for line in lines:
        line.set_alpha(0.4)


def _limit(axis: Axes, results: SweepResults) -> None:
    full = results.full.metrics[results.metric].value
    best = max(point.metrics[results.metric].value for point in results.points)
    if results.family(PRESETS):
        lowest = min(point.metrics[results.metric].value for point in results.family(PRESETS))
    else:
        lowest = full
    bottom = min(SHOWN_SHARE * full, 0.97 * lowest)
    axis.set_ylim(bottom, best + 0.25 * (best - bottom))
