"""The Methods tab: the benchmark's results, every method beside fixed depths of equal cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.benchmark.curves import Axes, Cost, Spot, fixed_curve, spots_of
from app.benchmark.figure import methods_figure
from app.benchmark.results import RESULTS, Benchmark, read_benchmarks
from app.benchmark.words import conditions_words, family_words, plain_words, point_html
from app.errors import InputError
from app.pictures import error_html
from app.presses import press_js

MISSING = (
    '<div class="off-empty">The benchmark\'s results are not here: they stand in docs/results of '
    "the project, and are made by <code>make bench</code>.</div>"
)
HINT = "Press a point, here or in the plot, for its figures and its command."

Benchmarks = Mapping[str, Benchmark]


class MethodValues(NamedTuple):
    """New values of what is drawn, in their order."""

    plot: Any
    points: str
    point: str


def build_tab(folder: Path = RESULTS) -> None:
    """Lay the tab out and wire it; the files are read once."""
    try:
        benchmarks = read_benchmarks(folder)
    except InputError as error:
        gr.HTML(error_html(error.message), apply_default_css=False)
        return
    if not benchmarks:
        gr.HTML(MISSING, apply_default_css=False, elem_id="methods-missing")
        return
    build_plot(benchmarks)
    words = plain_words(folder)
    if words:
        with gr.Accordion("Which method when, and when a dynamic one loses", open=True):
            gr.Markdown(words, elem_id="methods-words")


@dataclass(frozen=True)
class PlotControls:
    """What chooses the points and the axes."""

    task: gr.Radio
    cost: gr.Radio
    size: gr.Radio
    metric: gr.Dropdown
    has_intervals: gr.Checkbox

    @property
    def inputs(self) -> list[Any]:
        """Inputs of `show`, in order."""
        return [self.task, self.cost, self.size, self.metric, self.has_intervals]


def build_controls(benchmarks: Benchmarks, task: str) -> PlotControls:
    """Lay the controls out for a task."""
    costs, sizes = costs_of(benchmarks[task]), benchmarks[task].batch_sizes
    metrics = benchmarks[task].metrics
    with gr.Row():
        return PlotControls(
            gr.Radio(list(benchmarks), value=task, label="Task", elem_id="methods-task"),
            gr.Radio(costs, value=costs[0], label="What is saved", elem_id="methods-cost"),
            gr.Radio(sizes, value=first_of(sizes), label="Batch size of times"),
            gr.Dropdown(metrics, value=metrics[0], label="Quality", min_width=140),
            gr.Checkbox(value=True, label="95 % intervals"),
        )


def build_plot(benchmarks: Benchmarks) -> None:
    """Controls, plot, figures of one point, table of points."""
    task = next(iter(benchmarks))
    controls = build_controls(benchmarks, task)
    start = show(benchmarks, *(control.value for control in controls.inputs))
    plot = gr.Plot(start.plot, show_label=False, elem_id="methods-plot")
    point = gr.HTML(apply_default_css=False, elem_id="methods-point")
    points = gr.HTML(
        start.points,
        apply_default_css=False,
        js_on_load=press_js("methods-plot"),
        elem_id="methods-points",
    )
    wire(benchmarks, controls, points, [plot, points, point])


def wire(benchmarks: Benchmarks, controls: PlotControls, points: gr.HTML, drawn: list[Any]) -> None:
    """Connect the controls and the presses to what is drawn."""
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    draw, inputs = partial(show, benchmarks), controls.inputs
    controls.task.input(
        partial(choose_task, benchmarks),
        [controls.task, controls.has_intervals],
        [controls.cost, controls.size, controls.metric, *drawn],
        **quiet,
    )
    controls.cost.input(draw, inputs, drawn, api_name="methods", show_progress="hidden")
    for control in (controls.size, controls.metric, controls.has_intervals):
        control.input(draw, inputs, drawn, **quiet)
    chosen = gr.State(None)
    points.click(pressed_number, None, chosen, **quiet).then(
        draw, [*inputs, chosen], drawn, **quiet
    )


def costs_of(benchmark: Benchmark) -> list[str]:
    """The costs that were measured."""
    costs = [Cost.LAYERS, Cost.FLOPS]
    if benchmark.batch_sizes:
        costs.append(Cost.TIME)
    if any(times.wall is not None for point in benchmark.points for times in point.times.values()):
        costs.append(Cost.WHOLE_TIME)
    return [cost.value for cost in costs]


def first_of(sizes: list[int]) -> int | None:
    """The smallest batch size, where times were measured."""
    return sizes[0] if sizes else None


def choose_task(benchmarks: Benchmarks, task: str, has_intervals: bool) -> tuple[Any, ...]:
    """Another task: what was measured of it, and its points by layers."""
    benchmark = benchmarks[task]
    costs, sizes, metrics = costs_of(benchmark), benchmark.batch_sizes, benchmark.metrics
    drawn = show(benchmarks, task, costs[0], first_of(sizes), metrics[0], has_intervals)
    return (
        gr.update(choices=costs, value=costs[0]),
        gr.update(choices=sizes, value=first_of(sizes), visible=bool(sizes)),
        gr.update(choices=metrics, value=metrics[0]),
        *drawn,
    )


def show(
    benchmarks: Benchmarks,
    task: str,
    cost: str,
    size: int | None,
    metric: str,
    has_intervals: bool,
    chosen: int | None = None,
) -> MethodValues:
    """The points of a task on the chosen axes, one of them in full where it is chosen."""
    benchmark = benchmarks[task]
    axes = Axes(Cost(cost), size, metric)
    spots = spots_of(benchmark, axes)
    figure = methods_figure(spots, axes, has_intervals, chosen)
    edge = fixed_curve(spots)
    details = [point_html(task, benchmark, spot, edge) for spot in spots if spot.number == chosen]
    return MethodValues(figure, points_html(benchmark, spots, axes, chosen), "".join(details))


def pressed_number(event: gr.EventData) -> int:
    """Which point was pressed."""
    return int(event.number)


def points_html(benchmark: Benchmark, spots: list[Spot], axes: Axes, chosen: int | None) -> str:
    """The points as a table; each is a button."""
    rows = "".join(row_html(spot, spot.number == chosen) for spot in spots)
    return (
        '<section class="off-picture" aria-label="Points"><h3>Points</h3>'
        f'<p class="off-hint">{HINT} {escape(conditions_words(benchmark))}</p>'
        '<div class="off-scroll off-tall" role="region" aria-label="Points" tabindex="0">'
        '<table class="off-table"><thead><tr><th scope="col">setting</th>'
        f'<th scope="col">method</th><th scope="col">{escape(axes.metric)}</th>'
        f'<th scope="col">95 % interval</th><th scope="col">{escape(axes.cost.value)} saved</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def row_html(spot: Spot, is_chosen: bool) -> str:
    """One point."""
    mark = ' aria-current="true"' if is_chosen else ""
    return (
        f'<tr{mark}><th scope="row"><button type="button" data-number="{spot.number}">'
        f"{escape(spot.point.name)}</button></th><td>{escape(family_words(spot.point.family))}</td>"
        f"<td>{spot.quality:.3f}</td><td>{spot.low:.3f} to {spot.high:.3f}</td>"
        f"<td>{100 * spot.saved:.1f} %</td></tr>"
    )
