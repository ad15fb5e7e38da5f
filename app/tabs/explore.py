"""The Explore tab: settings swept over a visitor's own photos, quality against cost.

What was found stands in the session's own state. A running sweep and the visitor share a `View`,
also of the session: which axes are on show, which setting, and whether to stop.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import gradio as gr

from app.async_client import AsyncClient
from app.client import Client
from app.exploration.controls import SweepControls, SweepInputs, build_sweep_controls
from app.exploration.examples import ENTAILMENT, MAX_PHOTOS, read_examples
from app.exploration.figure import points_figure
from app.exploration.files import files_html
from app.exploration.grid import make_settings
from app.exploration.outcomes import Findings
from app.exploration.points import COSTS, Point, make_points, offered_qualities
from app.exploration.sweep import Step, run_sweep
from app.exploration.tables import answers_html, points_html, policy_html, progress_html
from app.panel import sentence_of
from app.pictures import error_html
from app.presses import press_js
from serve.schemas import PoliciesReport

EMPTY = (
    f'<div class="off-empty">Drop up to {MAX_PHOTOS} photos in: every setting becomes a point, by '
    "what it keeps of full depth's answers and by what it saves.</div>"
)
RUNNING, DONE, STOPPED, BROKEN = "Running:", "Done:", "Stopped:", "Broken off:"


@dataclass
class View:
    """What a running sweep and its visitor share.

    Attributes:
        cost: Axis across.
        quality: Axis upward; None until the sweep has chosen one.
        chosen: Number of the setting on show.
        stop: Ends the sweep when set.
    """

    cost: str = next(iter(COSTS))
    quality: str | None = None
    chosen: int | None = None
    stop: Event = field(default_factory=Event)


class SweepValues(NamedTuple):
    """New values of the tab's outputs, in their order."""

    status: str
    quality: Any
    plot: Any
    points: str
    files: str
    findings: Findings | None
    run: Any
    stop: Any


@dataclass(frozen=True)
class Results:
    """The right side of the tab."""

    status: gr.HTML
    cost: gr.Radio
    quality: gr.Radio
    plot: gr.Plot
    points: gr.HTML
    files: gr.HTML
    answers: gr.HTML


def build_tab(client: Client, report: PoliciesReport | None, examples: list[Path]) -> None:
    """Lay the tab out and wire it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            controls = build_sweep_controls(report, examples)
        with gr.Column(scale=3, min_width=300):
            results = build_results()
    wire(client, controls, results, gr.State(None), gr.State(None))


def build_results() -> Results:
    """Status, axes, plot, table, files and answers."""
    status = gr.HTML(EMPTY, apply_default_css=False, elem_id="explore-status")
    with gr.Row(visible=True):
        cost = gr.Radio(list(COSTS), value=View.cost, label="Cost, across")
        quality = gr.Radio(
            ["agreement"], value="agreement", label="Quality, upward", elem_id="explore-quality"
        )
    return Results(
        status,
        cost,
        quality,
        gr.Plot(show_label=False, visible=False, elem_id="explore-plot"),
        gr.HTML(
            apply_default_css=False, js_on_load=press_js("explore-plot"), elem_id="explore-points"
        ),
        gr.HTML(apply_default_css=False, elem_id="explore-files"),
        gr.HTML(apply_default_css=False, elem_id="explore-answers"),
    )


def wire(
    client: Client, controls: SweepControls, results: Results, view: gr.State, findings: gr.State
) -> None:
    """Connect running, stopping, choosing axes and choosing a setting."""
    axes, drawn = [results.cost, results.quality], [results.plot, results.points, results.files]
    controls.run.click(
        begin,
        [view, results.cost],
        [view, results.answers, controls.run, controls.stop],
        api_visibility="private",
        show_progress="hidden",
    ).then(
        partial(explore, client),
        [view, *controls.inputs],
        [
            results.status,
            results.quality,
            *drawn,
            findings,
            controls.run,
            controls.stop,
        ],
        api_name="explore",
        show_progress="hidden",
    )
    controls.stop.click(stop_sweep, view, controls.stop, api_name="explore_stop", queue=False)
    for axis in axes:
        axis.input(
            change_axes,
            [view, findings, *axes],
            drawn,
            api_visibility="private",
            show_progress="hidden",
        )
    results.points.click(
        choose_setting,
        [view, findings, *axes],
        [*drawn, results.answers],
        api_visibility="private",
        show_progress="hidden",
    )


def begin(view: View | None, cost: str) -> tuple[View, str, Any, Any]:
    """A fresh view; a sweep that still runs for this visitor is stopped."""
    if view is not None:
        view.stop.set()
    return View(cost), "", gr.update(interactive=False), gr.update(interactive=True)


def stop_sweep(view: View | None) -> Any:
    """Stops the visitor's sweep: what is under way is cancelled, what was found stays."""
    if view is not None:
        view.stop.set()
    return gr.update(interactive=False)


async def explore(client: Client, view: View | None, *values: Any) -> AsyncIterator[SweepValues]:
    """The tab's values, again and again as answers come."""
    view, step = view or View(), None
    try:
        inputs = SweepInputs.from_values(values)
        planned = await asyncio.to_thread(plan, client, inputs)
        fit_quality(view, planned)
        async with (
            AsyncClient(client) as calls,
            aclosing(run_sweep(calls, planned, inputs.num_at_a_time, view.stop)) as steps,
        ):
            async for step in steps:
                yield await asyncio.to_thread(show_step, step, view)
    except Exception as error:  # noqa: BLE001 - the border of a UI event
        yield ended(show_failure(error, step, view))


def plan(client: Client, inputs: SweepInputs) -> Findings:
    """Settings and examples, nothing asked yet.

    Raises:
        InputError: What was entered cannot be asked.
        ServiceError: The service does not say which model it has.
    """
    model = client.model()
    labels = [label for task in model.tasks if task.name == ENTAILMENT for label in task.labels]
    examples = read_examples(inputs.task, inputs.photos, inputs.file, inputs.hypothesis, labels)
    layers = (model.num_encoder_layers, model.num_decoder_layers)
    settings = make_settings(inputs.sites, inputs.num_thresholds, inputs.has_fixed, layers)
    return Findings(inputs.task, settings, examples)


def fit_quality(view: View, findings: Findings) -> None:
    """Choose the most telling measure that the examples allow."""
    offered = offered_qualities(findings)
    if view.quality not in offered:
        view.quality = offered[0]


def show_step(step: Step, view: View) -> SweepValues:
    """The tab at one moment of a sweep, or at its end."""
    findings = step.findings
    fit_quality(view, findings)
    plot, points, files = draw(findings, view, has_files=step.is_over)
    values = SweepValues(
        progress_html(step, STOPPED if view.stop.is_set() else DONE if step.is_over else RUNNING),
        gr.update(choices=offered_qualities(findings), value=view.quality),
        plot,
        points,
        files,
        findings,
        gr.skip(),
        gr.skip(),
    )
    return ended(values) if step.is_over else values


def show_failure(error: Exception, step: Step | None, view: View) -> SweepValues:
    """The sentence, above what was found until then."""
    sentence = error_html(*sentence_of(error))
    if step is None:
        hidden = gr.update(value=None, visible=False)
        return SweepValues(sentence, gr.skip(), hidden, "", "", None, gr.skip(), gr.skip())
    values = show_step(step._replace(is_over=True), view)
    return values._replace(status=sentence + progress_html(step, BROKEN))


def ended(values: SweepValues) -> SweepValues:
    """The same, with the buttons as they are when nothing runs."""
    return values._replace(run=gr.update(interactive=True), stop=gr.update(interactive=False))


def draw(findings: Findings, view: View, has_files: bool = True) -> tuple[Any, str, str]:
    """Plot, table and files of what was found."""
    points = make_points(findings)
    if not points or view.quality is None:
        return gr.update(value=None, visible=False), "", ""
    figure = points_figure(points, view.cost, view.quality, view.chosen)
    table = points_html(findings, points, view.chosen)
    files = files_html(points, view.cost, view.quality) if has_files else ""
    return gr.update(value=figure, visible=True), table, files


def change_axes(
    view: View | None, findings: Findings | None, cost: str, quality: str
) -> tuple[Any, str, str]:
    """The same points on other axes."""
    if view is None or findings is None:
        return gr.skip(), gr.skip(), gr.skip()
    view.cost, view.quality = cost, quality
    fit_quality(view, findings)
    return draw(findings, view)


def choose_setting(
    view: View | None, findings: Findings | None, cost: str, quality: str, event: gr.EventData
) -> tuple[Any, str, str, str]:
    """A setting was pressed: its answers beside full depth's, and its policy as YAML."""
    if view is None or findings is None or not 0 <= event.number < len(findings.settings):
        return gr.skip(), gr.skip(), gr.skip(), gr.skip()
    view.chosen = event.number
    drawn = change_axes(view, findings, cost, quality)
    return *drawn, show_setting(findings, event.number)


def show_setting(findings: Findings, number: int) -> str:
    """Answers and policy of one setting."""
    found: dict[int, Point] = {point.number: point for point in make_points(findings)}
    return policy_html(findings, number, found.get(number)) + answers_html(findings, number)
