"""Points as a figure for the page: quality against cost, full depth marked.

Pure. Families differ in symbol as well as in colour. A point carries the number of its setting, by
which a press is understood.
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from app.exploration.grid import Family
from app.exploration.points import COSTS, QUALITIES, Axis, Point
from app.palette import FIXED_COLOR, FULL_POINT_COLOR, SWEPT_COLOR
from app.plots import CLEAR, styled

FAMILY_MARKERS = {
    Family.SWEPT: {"symbol": "circle", "color": SWEPT_COLOR, "size": 12},
    Family.FIXED: {"symbol": "square", "color": FIXED_COLOR, "size": 12},
    Family.FULL: {"symbol": "star", "color": FULL_POINT_COLOR, "size": 18},
}
CHOSEN_SIZE = 26


def points_figure(
    points: Sequence[Point], cost: str, quality: str, chosen: int | None = None
) -> go.Figure:
    """Quality against cost.

    Args:
        points: Of a sweep.
        cost: A key of `COSTS`.
        quality: A key of `QUALITIES`.
        chosen: Number of the setting that is ringed.
    """
    across, upward = COSTS[cost], QUALITIES[quality]
    figure = go.Figure()
    for family in FAMILY_MARKERS:
        add_family(
            figure, family, [point for point in points if point.family is family], across, upward
        )
    ringed = [point for point in points if point.number == chosen]
    if ringed:
        add_ring(figure, ringed[0], across, upward)
    set_axes(figure, across, upward, points)
    figure.update_layout(
        clickmode="event",
        hovermode="closest",
        hoverlabel={"align": "left"},
        modebar={"orientation": "v", "bgcolor": CLEAR},
    )
    return styled(figure, height=420)


def add_family(
    figure: go.Figure, family: Family, points: Sequence[Point], across: Axis, upward: Axis
) -> None:
    """The points of one family; those of a sweep joined by a line."""
    shown = [point for point in points if upward.value(point) is not None]
    if not shown:
        return
    line = {"color": FAMILY_MARKERS[family]["color"], "width": 1.5, "dash": "dot"}
    figure.add_scatter(
        x=[scaled(across, point) for point in shown],
        y=[scaled(upward, point) for point in shown],
        name=family.value,
        mode="markers" if family is Family.FULL else "lines+markers",
        line=line,
        marker=FAMILY_MARKERS[family],
        customdata=[point.number for point in shown],
        text=[hover_words(point, across, upward) for point in shown],
        hovertemplate="%{text}<extra></extra>",
    )


def add_ring(figure: go.Figure, point: Point, across: Axis, upward: Axis) -> None:
    """A ring around the setting whose answers are on show."""
    if upward.value(point) is None:
        return
    figure.add_scatter(
        x=[scaled(across, point)],
        y=[scaled(upward, point)],
        name="on show",
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": CHOSEN_SIZE,
            "color": FULL_POINT_COLOR,
            "line": {"width": 3},
        },
        hoverinfo="skip",
    )


def set_axes(figure: go.Figure, across: Axis, upward: Axis, points: Sequence[Point]) -> None:
    """Titles with units, and how many examples the points stand on."""
    count = points[0].num_examples if points else 0
    title = f"{titled(upward)}, {count} example{'' if count == 1 else 's'}"
    figure.update_xaxes(title=titled(across))
    figure.update_yaxes(title=title)


def titled(axis: Axis) -> str:
    """An axis' title with its unit."""
    return f"{axis.label} (%)" if axis.is_share else axis.label


def scaled(axis: Axis, point: Point) -> float:
    """A point's value in the unit of the axis."""
    value = axis.value(point) or 0.0
    return 100 * value if axis.is_share else value


def hover_words(point: Point, across: Axis, upward: Axis) -> str:
    """Setting and values."""
    return (
        f"<b>{point.setting}</b><br>{upward.label}: {upward.words(point)}"
        f"<br>{across.label}: {across.words(point)}<br>press to see its answers"
    )
