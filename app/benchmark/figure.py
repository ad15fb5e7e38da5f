"""The benchmark as a figure: quality against what is saved, method by method.

Methods differ in symbol as well as in colour. Of the many, a few are shown at first; a press on
the legend shows the others.
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from app.benchmark.curves import Axes, Cost, Spot, fixed_curve
from app.benchmark.words import family_words
from app.palette import FIXED_COLOR, FULL_POINT_COLOR, METHOD_COLORS
from app.plots import CLEAR, styled

FIRST_SHOWN = ("full", "fixed_", "presets", "similarity", "classifier", "confidence", "oracle")
HIDDEN_AT_FIRST = ("copy_hidden", "_image", "_text")
SYMBOLS = ("circle", "triangle-up", "diamond", "cross", "x", "pentagon", "triangle-down", "hexagon")
HEIGHT = 560


def methods_figure(
    spots: Sequence[Spot], axes: Axes, has_intervals: bool, chosen: int | None = None
) -> go.Figure:
    """Every family's points, and the curve of fixed depths.

    Args:
        spots: Points on these axes.
        axes: What they are.
        has_intervals: Whether the 95 % intervals are drawn.
        chosen: Number of the point that is ringed.
    """
    figure = go.Figure()
    add_curve(figure, fixed_curve(spots))
    families = list(dict.fromkeys(spot.point.family for spot in spots))
    for place, family in enumerate(families):
        of_family = [spot for spot in spots if spot.point.family == family]
        figure.add_scatter(
            x=[100 * spot.saved for spot in of_family],
            y=[spot.quality for spot in of_family],
            name=family_words(family),
            mode="markers",
            marker=family_marker(family, place),
            visible=True if is_first_shown(family) else "legendonly",
            error_y=intervals(of_family) if has_intervals else None,
            customdata=[spot.number for spot in of_family],
            text=[hover_words(spot, axes) for spot in of_family],
            hovertemplate="%{text}<extra></extra>",
        )
    add_ring(figure, [spot for spot in spots if spot.number == chosen])
    figure.update_xaxes(title=f"{cost_words(axes)} saved (%)")
    figure.update_yaxes(title=axes.metric)
    return laid_out(figure, len(families))


def laid_out(figure: go.Figure, num_families: int) -> go.Figure:
    """The figure with its legend below, and answering presses."""
    figure.update_layout(
        clickmode="event",
        hovermode="closest",
        hoverlabel={"align": "left"},
        modebar={"orientation": "v", "bgcolor": CLEAR},
    )
    styled(figure, height=HEIGHT + 12 * num_families)
    return figure.update_layout(
        legend={"yref": "paper", "y": -0.14, "yanchor": "top", "maxheight": 0.3}
    )


def add_curve(figure: go.Figure, edge: Sequence[tuple[float, float]]) -> None:
    """The curve of fixed depths."""
    figure.add_scatter(
        x=[100 * saved for saved, _ in edge],
        y=[quality for _, quality in edge],
        name="fixed depths and mixtures of two",
        mode="lines",
        line={"color": FIXED_COLOR, "width": 2, "dash": "dash"},
        hoverinfo="skip",
    )


def add_ring(figure: go.Figure, spots: Sequence[Spot]) -> None:
    """A ring around the point whose figures are on show."""
    for spot in spots:
        figure.add_scatter(
            x=[100 * spot.saved],
            y=[spot.quality],
            name="on show",
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": 24,
                "color": FULL_POINT_COLOR,
                "line": {"width": 3},
            },
            hoverinfo="skip",
        )


def family_marker(family: str, place: int) -> dict[str, object]:
    """Symbol and colour of a family."""
    if family == "full":
        return {"symbol": "star", "size": 17, "color": FULL_POINT_COLOR}
    if family.startswith("fixed_"):
        return {"symbol": "square", "size": 8, "color": FIXED_COLOR}
    color = METHOD_COLORS[place % len(METHOD_COLORS)]
    # Another symbol each time the colours begin anew, and beside its neighbour.
    symbol = SYMBOLS[(place + place // len(METHOD_COLORS)) % len(SYMBOLS)]
    return {"symbol": symbol, "size": 10, "color": color}


def is_first_shown(family: str) -> bool:
    """Whether a family is on show before anybody presses the legend."""
    if family.endswith(HIDDEN_AT_FIRST) and not family.startswith("fixed_"):
        return False
    return family.startswith(FIRST_SHOWN) or family.endswith("_heads")


def intervals(spots: Sequence[Spot]) -> dict[str, object]:
    """Bars of the 95 % intervals."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [spot.high - spot.quality for spot in spots],
        "arrayminus": [spot.quality - spot.low for spot in spots],
        "thickness": 0.7,
        "width": 2,
    }


def cost_words(axes: Axes) -> str:
    """The cost with its batch size."""
    is_time = axes.cost in (Cost.TIME, Cost.WHOLE_TIME)
    return f"{axes.cost.value}, batch {axes.size}," if is_time else axes.cost.value


def hover_words(spot: Spot, axes: Axes) -> str:
    """Method, setting, values."""
    return (
        f"<b>{family_words(spot.point.family)}</b><br>{spot.point.name}"
        f"<br>{axes.metric}: {spot.quality:.3f} [{spot.low:.3f}, {spot.high:.3f}]"
        f"<br>{cost_words(axes)} saved: {100 * spot.saved:.1f} %<br>press for its command"
    )
