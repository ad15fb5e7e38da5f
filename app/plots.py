"""Plotly figures: the score that explains a stop, and what settings cost side by side.

Pure: values of ``exits`` and ``serve.schemas`` in, figure out. Axes carry units, colours come from
``palette``, and every series differs in more than colour (dash, symbol, pattern or text). Text
colours are left to the page's style sheet, which knows light from dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from app.exits import ScoreCurve, saved_fraction, stage_ms
from app.palette import FULL_COLOR, RUN_COLOR, SCORE_COLOR, STAGE_COLORS, THRESHOLD_COLOR
from serve.schemas import Cost

CLEAR = "rgba(0,0,0,0)"
GRID_COLOR = "rgba(128,128,128,0.25)"
BAR_HEIGHT, AXIS_HEIGHT, LEGEND_HEIGHT = 40, 56, 48  # pixels
STAGE_PATTERNS = {"preprocess": "", "stem": "/", "encode": "x", "decode": "."}


@dataclass(frozen=True)
class NamedCost:
    """The cost of one setting."""

    name: str
    cost: Cost


def score_figure(curve: ScoreCurve) -> go.Figure:
    """The score against its threshold over depth, the exit marked by a star."""
    depths = list(range(1, len(curve.scores) + 1))
    figure = go.Figure()
    figure.add_scatter(
        x=depths,
        y=list(curve.scores),
        name="score",
        mode="lines+markers",
        line={"color": SCORE_COLOR, "width": 3},
        marker={"size": 9},
    )
    figure.add_scatter(
        x=depths,
        y=list(curve.thresholds),
        name="threshold",
        mode="lines+markers",
        line={"color": THRESHOLD_COLOR, "width": 2, "dash": "dash"},
        marker={"symbol": "line-ew-open", "size": 14},
    )
    add_exit_mark(figure, curve)
    figure.update_xaxes(title="depth (layers run)", range=[0.5, curve.num_layers + 0.5], dtick=1)
    figure.update_yaxes(title=curve.score_name)
    return styled(figure, height=330)


def add_exit_mark(figure: go.Figure, curve: ScoreCurve) -> None:
    """Mark the depth at which it left, when a score was recorded there."""
    if not 1 <= curve.exit_depth <= len(curve.scores):
        return
    figure.add_scatter(
        x=[curve.exit_depth],
        y=[curve.scores[curve.exit_depth - 1]],
        name=f"left after {curve.exit_depth}",
        mode="markers",
        marker={
            "symbol": "star",
            "size": 20,
            "color": THRESHOLD_COLOR,
            "line": {"color": "white", "width": 1},
        },
    )


def savings_figure(costs: Sequence[NamedCost]) -> go.Figure:
    """Layers, FLOPs and milliseconds by stage, one bar per setting.

    One below the other, so that a phone has the whole width for each.
    """
    area = 3 * BAR_HEIGHT * len(costs) + 2 * AXIS_HEIGHT
    figure = make_subplots(rows=3, cols=1, vertical_spacing=AXIS_HEIGHT / area)
    names = [named.name for named in costs]
    layers = [(named.cost.layers_run, named.cost.layers_full) for named in costs]
    gflop = [(named.cost.flops / 1e9, named.cost.flops_full / 1e9) for named in costs]
    add_run_bars(figure, 1, names, layers)
    add_run_bars(figure, 2, names, gflop)
    add_stage_bars(figure, 3, costs)
    for row, title in enumerate(("layers", "GFLOP", "ms by stage"), start=1):
        figure.update_xaxes(title={"text": title, "standoff": 4}, row=row, col=1)
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(barmode="stack", bargap=0.3)
    return styled(figure, height=area + LEGEND_HEIGHT + AXIS_HEIGHT)


def add_run_bars(
    figure: go.Figure, row: int, names: list[str], run_and_full: list[tuple[float, float]]
) -> None:
    """What was run, with the saved part behind it up to full depth."""
    bars = {
        "run": ([run for run, _ in run_and_full], RUN_COLOR, ""),
        "saved": ([max(full - run, 0.0) for run, full in run_and_full], FULL_COLOR, "/"),
    }
    words = [
        f"{run:.1f} ({100 * saved_fraction(run, full):.0f} % saved)" for run, full in run_and_full
    ]
    for name, (lengths, color, pattern) in bars.items():
        figure.add_bar(
            x=lengths,
            y=names,
            orientation="h",
            name=name,
            legendgroup=name,
            showlegend=row == 1,
            marker=hatched(color, pattern),
            text=words if name == "run" else None,
            textposition="auto",
            row=row,
            col=1,
        )


def add_stage_bars(figure: go.Figure, row: int, costs: Sequence[NamedCost]) -> None:
    """The stages of each setting, end to end."""
    for stage, color in STAGE_COLORS.items():
        figure.add_bar(
            x=[stage_ms(named.cost)[stage] for named in costs],
            y=[named.name for named in costs],
            orientation="h",
            name=stage,
            marker=hatched(color, STAGE_PATTERNS[stage]),
            row=row,
            col=1,
        )


def hatched(color: str, pattern: str) -> dict[str, object]:
    """A bar's look: its colour, and a pattern on it."""
    return {
        "color": color,
        "pattern": {"shape": pattern, "fillmode": "overlay", "fgcolor": "white", "fgopacity": 0.45},
    }


def styled(figure: go.Figure, height: int) -> go.Figure:
    """The common look: clear background, thin grid, legend above."""
    figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        margin={"l": 60, "r": 20, "t": LEGEND_HEIGHT, "b": AXIS_HEIGHT},
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    figure.update_xaxes(gridcolor=GRID_COLOR, zeroline=False)
    figure.update_yaxes(gridcolor=GRID_COLOR, zeroline=False, automargin=True)
    return figure
