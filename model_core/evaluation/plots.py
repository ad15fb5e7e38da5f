"""Results as figures: quality against each measure of cost, every family a curve."""

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model_core.config import CatchUp
from model_core.evaluation.points import FAMILIES, FIXED_MIXED, FULL, ORACLE, PRESETS
from model_core.evaluation.results import PointResult, SweepResults
from model_core.evaluation.tables import metric_label
from model_core.policies import ExitSite

# Okabe and Ito's palette, told apart by colour-blind readers too; fixed depths are grey.
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#8C564B", "#7F3C8D", "#11A579", "#A5AA99", "#882255", "#44AA99"),
)
GREYS = ("#222222", "#777777", "#aaaaaa")
STYLE: dict[Any, Any] = {"svg.hashsalt": "offramp", "font.size": 9}


class Panel(NamedTuple):
    """One measure of cost: what the axis says, and its value at a point (None: not measured)."""

    label: str
    cost: Callable[[PointResult], float | None]


class Row(NamedTuple):
    """One row of panels: the families it shows, and the site of its oracles."""

    title: str
    families: list[str]
    sites: tuple[ExitSite, ...]


def _is_encoder(family: str) -> bool:
    return family.endswith((f"_{ExitSite.IMAGE}", f"_{ExitSite.TEXT}"))


ROWS = (
    Row("decoder", [name for name in FAMILIES if not _is_encoder(name)], (ExitSite.DECODER,)),
    Row(
        "encoder, decoder at full depth",
        [name for name in FAMILIES if _is_encoder(name)],
        (ExitSite.IMAGE, ExitSite.TEXT),
    ),
)


def panels(results: SweepResults) -> list[Panel]:
    """Layers, FLOPs, and milliseconds where they were measured, at the smallest batch."""
    found = [
        Panel("layers run (share of full depth)", lambda point: 1 - point.saving.layers),
        Panel("FLOPs (share of full depth)", lambda point: 1 - point.saving.flops),
    ]
    if results.batch_sizes:
        smallest = results.batch_sizes[0]

        def milliseconds(point: PointResult) -> float | None:
            # Full depth's time less the saving: full depth was measured beside every point, while
            # the machine may have been slower for one point than for another.
            times = point.times.get(smallest)
            if times is None:
                return None
            return results.full.times[smallest].ms_without_stem.median * (
                1 - times.wall_without_stem
            )

        found.append(Panel(f"ms per answer without stem, batch {smallest}", milliseconds))
    return found


def figure(results: SweepResults) -> Figure:
    """Quality against cost; a row for the decoder's exits and one for the encoder's."""
    columns = panels(results)
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(4.2 * len(columns) + 2, 7.5), layout="constrained")
        grid = drawn.subplots(len(ROWS), len(columns), squeeze=False, sharey=True)
        for row, axes in zip(ROWS, grid, strict=True):
            for panel, axis in zip(columns, axes, strict=True):
                _draw(axis, results, row, panel)
            axes[0].set_ylabel(metric_label(results.metric))
            axes[-1].legend(
                *axes[0].get_legend_handles_labels(),  # the oracle has no time of its own
                title=row.title,
                loc="center left",
                bbox_to_anchor=(1.02, 0.5),
                frameon=False,
            )
    return drawn


def save_figure(results: SweepResults, path: Path) -> None:
    """Write the figure as SVG; the same results give the same file."""
    with mpl.rc_context(STYLE):
        figure(results).savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw(axis: Axes, results: SweepResults, row: Row, panel: Panel) -> None:
    axis.set_xlabel(panel.label)
    axis.grid(visible=True, alpha=0.3)
    for point in results.family(FULL):
        metric = point.metrics[results.metric]
        axis.axhspan(metric.low, metric.high, color="#000000", alpha=0.06, lw=0)
        axis.axhline(metric.value, color="#000000", lw=0.6, ls=":")
        _curve(axis, results, panel, [point], {"label": "full depth", "color": "k", "marker": "D"})
    for family, style in _styles(row.families):
        _curve(axis, results, panel, results.family(family), style)
    oracles = [point for point in results.family(ORACLE) if point.name in row.sites]
    for point, marker in zip(oracles, "*P", strict=False):
        style = {"label": f"oracle, {point.name}", "color": "#F0B000", "marker": marker, "ms": 11}
        _curve(axis, results, panel, [point], style)
    if ExitSite.DECODER in row.sites:
        style = {"label": "presets", "color": "#000000", "marker": "s", "ls": "none", "mfc": "none"}
        _curve(axis, results, panel, results.family(PRESETS), style)


def _styles(families: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    colours, greys = cycle(COLOURS), cycle(GREYS)
    used: dict[str, str] = {}
    styles: list[tuple[str, dict[str, Any]]] = []
    for family in families:
        base = family.removesuffix(f"_{CatchUp.COPY_HIDDEN}")
        if base not in used:
            used[base] = next(greys if base.startswith("fixed") else colours)
        dashes = "none" if family == FIXED_MIXED else "--" if base != family else "-"
        styles.append((family, {"label": family, "color": used[base], "marker": "o", "ls": dashes}))
    return styles


def _curve(
    axis: Axes,
    results: SweepResults,
    panel: Panel,
    points: Sequence[PointResult],
    style: dict[str, Any],
) -> None:
    known = [(cost, point) for point in points if (cost := panel.cost(point)) is not None]
    if not known:
        return
    metrics = [point.metrics[results.metric] for _, point in known]
    values = [metric.value for metric in metrics]
    # The interval of the difference to full depth: that of the value is as wide for every point.
    below = [max(0.0, metric.difference - metric.difference_low) for metric in metrics]
    above = [max(0.0, metric.difference_high - metric.difference) for metric in metrics]
    look: dict[str, Any] = {"ms": 4, "lw": 1.2, "elinewidth": 0.5} | style
    axis.errorbar([cost for cost, _ in known], values, yerr=[below, above], **look)
