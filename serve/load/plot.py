"""The course of a run as a figure: what was offered and answered, and how long answers took."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from serve.load.report import LoadReport

ANSWERED, REFUSED, FAILED, DUE = "#0072B2", "#E69F00", "#D55E00", "#777777"
# Constant names of the parts of an SVG: the same numbers give the same file.
STYLE: dict[Any, Any] = {"svg.hashsalt": "offramp", "font.size": 9}


def load_figure(reports: Sequence[tuple[str, LoadReport]]) -> Figure:
    """One column per run: calls per second above, latency below."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.5 + 4.5 * len(reports), 5.0), layout="constrained")
        axes = figure.subplots(2, len(reports), sharex="col", sharey="row", squeeze=False)
        for column, (title, report) in enumerate(reports):
            _draw(axes[0][column], axes[1][column], title, report)
        axes[0][0].set_ylabel("calls per second")
        axes[1][0].set_ylabel("p95 of answers (ms)")
        axes[0][0].legend(loc="best", fontsize=8)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes SVG or PNG, by the suffix; the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with mpl.rc_context(STYLE):
        figure.savefig(path, metadata=metadata, dpi=120)


def _draw(upper: mpl.axes.Axes, lower: mpl.axes.Axes, title: str, report: LoadReport) -> None:
    seconds = [one.second for one in report.seconds]
    upper.set_title(title)
    upper.step(seconds, [one.num_due for one in report.seconds], color=DUE, label="due")
    series = (
        ("answered", ANSWERED, [one.num_ok for one in report.seconds]),
        ("refused (429)", REFUSED, [one.num_refused for one in report.seconds]),
        ("failed", FAILED, [one.num_failed for one in report.seconds]),
    )
    for label, colour, values in series:
        if any(values):
            upper.plot(seconds, values, color=colour, label=label)
    timed = [(one.second, one.p95_ms) for one in report.seconds if one.p95_ms is not None]
    lower.plot(*zip(*timed, strict=True), color=ANSWERED) if timed else None
    lower.set_ylim(bottom=0)
    lower.set_xlabel("seconds since the start")
