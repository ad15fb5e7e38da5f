"""The Compare tab: the same input under two to four settings, run together, side by side.

Holds layout, wiring and the callbacks. What is kept of a finished comparison is the path of its run
file, per session; the link holds the settings alone.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import plotly.graph_objects as go
from gradio.utils import get_upload_folder
from pydantic import ValidationError

from app.asking import ask_setting
from app.client import Client
from app.comparison import comparison_html
from app.errors import InputError, PageError
from app.followers import Follower
from app.lanes import Lane, run_lanes
from app.panel import run_event, sentence_of
from app.photos import build_photo, read_photo
from app.pictures import error_html
from app.plots import NamedCost, savings_figure
from app.run_diff import diff_html
from app.run_file import MAX_RUN_BYTES, Run, dump_run, load_run, photo_bytes, photo_suffix
from app.setting import LINK_PARAMETER, TASKS, Plan, first_fault, link_query, plan_of_link
from app.slots import build_slots, fill_slots, read_settings, slots_follower
from app.tabs import caption
from serve.schemas import PoliciesReport

TAB = "compare"
EMPTY = '<div class="off-empty">Choose a photo and two to four settings.</div>'
RUN_NAME = "offramp-comparison.json"


class CompareValues(NamedTuple):
    """New values of the results' components, in their order."""

    cards: Any
    bars: Any
    link: Any
    save: Any
    run_path: str | None


class Opened(NamedTuple):
    """New values of the inputs, then of the results."""

    photo: Any
    task: Any
    hypothesis: Any
    premise: Any
    slots: list[Any]
    results: CompareValues

    @property
    def flat(self) -> tuple[Any, ...]:
        """As Gradio wants them."""
        return self.photo, self.task, self.hypothesis, self.premise, *self.slots, *self.results


class CompareTab(NamedTuple):
    """What the page needs of the tab.

    Attributes:
        follower: How its settings follow the service.
        link_outputs: What `restore_link` fills, after the selected tab.
    """

    follower: Follower
    link_outputs: list[Any]

    def restore_after(self, loaded: Any, tabs: gr.Tabs) -> None:
        """Take up a link when the presets, among which it chooses, have come."""
        loaded.then(
            restore_link,
            None,
            [tabs, *self.link_outputs],
            api_visibility="private",
            show_progress="hidden",
        )


def build_tab(client: Client, report: PoliciesReport | None, examples: list[Path]) -> CompareTab:
    """Lay the tab out and wire it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = build_photo(TAB, examples)
        with gr.Column(scale=3, min_width=300):
            task = gr.Radio(TASKS, value=TASKS[0], label="Task")
            hypothesis = gr.Textbox(label="Sentence to judge (hypothesis)", visible=False)
            premise = gr.Textbox(
                label="What is known of the photo (premise, optional)", visible=False
            )
            slots = build_slots(report)
    button = gr.Button("Run side by side", variant="primary", elem_id="compare-run")
    inputs = [photo, task, hypothesis, premise, *(part for slot in slots for part in slot.inputs)]
    outputs = build_results(inputs)
    task.change(show_text_fields, task, [hypothesis, premise], api_visibility="private")
    button.click(
        partial(compare_settings, client),
        inputs,
        outputs,
        api_visibility="private",
        show_progress="hidden",
    )
    return CompareTab(slots_follower(slots), [*inputs[1:], outputs[0]])


def build_results(inputs: list[Any]) -> list[Any]:
    """Cards, bars, link and files; opening a file fills ``inputs`` too."""
    cards = gr.HTML(EMPTY, apply_default_css=False, elem_id="compare-cards")
    bars = gr.Plot(show_label=False, visible=False, elem_id="compare-bars")
    link = gr.HTML(apply_default_css=False, elem_id="compare-link")
    with gr.Row():
        save = gr.DownloadButton("Save this run", size="sm", visible=False, elem_id="compare-save")
        file = gr.UploadButton(
            "Open a run file", file_types=[".json"], size="sm", elem_id="compare-open"
        )
        other = gr.UploadButton(
            "Compare with another run file", file_types=[".json"], size="sm", elem_id="compare-diff"
        )
    difference = gr.HTML(apply_default_css=False, elem_id="compare-difference")
    run_path = gr.State(None)
    outputs = [cards, bars, link, save, run_path]
    file.upload(open_run, file, [*inputs, *outputs], api_visibility="private")
    other.upload(show_difference, [run_path, other], difference, api_visibility="private")
    return outputs


def show_text_fields(task: str) -> tuple[Any, Any]:
    """The sentences belong to entailment only."""
    is_needed = task != caption.TASK
    return gr.update(visible=is_needed), gr.update(visible=is_needed)


def compare_settings(
    client: Client, photo: str | None, task: str, hypothesis: str, premise: str, *slots: Any
) -> Iterator[CompareValues]:
    """The results as they come in, for the settings in the places."""
    try:
        plan = read_plan(task, hypothesis, premise, slots)
        encoded = read_photo(photo)
        num_layers = client.model().num_decoder_layers
        lanes: tuple[Lane, ...] = ()
        for lanes in run_lanes(plan, partial(ask_setting, client, plan, encoded), told):
            yield under_way(lanes, num_layers)
        yield finished(plan, encoded, lanes, num_layers)
    except Exception as error:  # noqa: BLE001 - the border of a UI event
        yield failed(*sentence_of(error))


def told(error: Exception) -> PageError:
    """A failure that can be told."""
    return PageError(*sentence_of(error))


def read_plan(task: str, hypothesis: str, premise: str, slots: tuple[Any, ...]) -> Plan:
    """What is to be run.

    Raises:
        InputError: Fewer than two settings, own rules that are not valid, or too long a sentence.
    """
    is_judged = task != caption.TASK
    settings = read_settings(slots, has_beams=not is_judged)
    if len(settings) < 2:
        raise InputError(f"{len(settings)} settings are chosen; choose two to four.")
    try:
        return Plan.model_validate(
            {
                "task": task,
                "hypothesis": hypothesis if is_judged else "",
                "premise": premise if is_judged else "",
                "settings": settings,
            }
        )
    except ValidationError as error:
        raise InputError(f"This cannot be compared: {first_fault(error)}.") from error


def under_way(lanes: tuple[Lane, ...], num_layers: int) -> CompareValues:
    """The cards while some are not finished."""
    return CompareValues(
        comparison_html(lanes, num_layers), gr.skip(), gr.skip(), gr.update(visible=False), None
    )


def finished(plan: Plan, photo: str, lanes: tuple[Lane, ...], num_layers: int) -> CompareValues:
    """Cards, bars and link; a run file too when every setting has answered."""
    answers = [lane.shown for lane in lanes if lane.shown]
    figure: go.Figure = savings_figure(
        [NamedCost(lane.setting.name, lane.shown.trace.cost) for lane in lanes if lane.shown]
    )
    cards = comparison_html(lanes, num_layers)
    bars = gr.update(value=figure if answers else None, visible=bool(answers))
    if len(answers) < len(lanes):
        return CompareValues(cards, bars, link_html(plan), gr.update(visible=False), None)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    path = write_run(Run(saved_at=now, plan=plan, photo=photo, answers=tuple(answers)))
    save = gr.update(value=path, visible=True)
    return CompareValues(cards, bars, link_html(plan), save, path)


def failed(message: str, request_id: str | None) -> CompareValues:
    """A sentence in place of the results."""
    hidden = gr.update(value=None, visible=False)
    return CompareValues(error_html(message, request_id), hidden, "", hidden, None)


def link_html(plan: Plan) -> str:
    """A link that restores the settings."""
    link = (
        f'<a class="off-save" target="_blank" href="{link_query(plan)}">Link to these settings</a>'
    )
    return (
        f'<p class="off-hint">{link}: sentences and settings are in it, the photo is not; the run '
        "file has everything.</p>"
    )


def write_run(run: Run) -> str:
    """The path of a new run file, in the folder from which Gradio serves a session's files."""
    folder = Path(get_upload_folder()) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    path = folder / RUN_NAME
    path.write_text(dump_run(run))
    return str(path)


def read_run(path: str) -> Run:
    """The run in a file.

    Raises:
        InputError: It is none.
    """
    with Path(path).open("rb") as file:
        return load_run(file.read(MAX_RUN_BYTES + 1))


def open_run(path: str) -> tuple[Any, ...]:
    """Inputs and results as a run file has them; the service is not asked."""
    num_inputs = 4
    return run_event(
        lambda: opened(read_run(path)).flat,
        lambda *failure: (
            *[gr.skip()] * num_inputs,
            *unchanged_slots(),
            *failed(*failure),
        ),
    )


def opened(run: Run) -> Opened:
    """The page filled from a run."""
    lanes = tuple(
        Lane(setting, shown=shown)
        for setting, shown in zip(run.plan.settings, run.answers, strict=True)
    )
    num_layers = run.answers[0].trace.decoder.num_layers
    results = finished(run.plan, run.photo, lanes, num_layers)
    return Opened(write_photo(run), *plan_values(run.plan), results)


def plan_values(plan: Plan) -> tuple[Any, Any, Any, list[Any]]:
    """Values of the inputs but the photo."""
    is_judged = plan.task != caption.TASK
    hypothesis = gr.update(value=plan.hypothesis, visible=is_judged)
    premise = gr.update(value=plan.premise, visible=is_judged)
    return plan.task, hypothesis, premise, fill_slots(plan)


def unchanged_slots() -> list[Any]:
    """What leaves the places as they are."""
    any_plan = Plan.model_validate({"settings": [{"policy": "full"}, {"policy": "full"}]})
    return [gr.skip() for _ in fill_slots(any_plan)]


def write_photo(run: Run) -> str:
    """The path of the run's photo."""
    content = photo_bytes(run)
    folder = Path(get_upload_folder()) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    path = folder / f"photo{photo_suffix(content)}"
    path.write_bytes(content)
    return str(path)


def show_difference(run_path: str | None, other: str) -> str:
    """The run on show beside the run in another file."""

    def difference() -> str:
        if run_path is None:
            raise InputError("Run a comparison or open a run file first, then choose the other.")
        return diff_html(read_run(run_path), read_run(other))

    return run_event(difference, lambda *failure: error_html(*failure))


def restore_link(request: gr.Request) -> tuple[Any, ...]:
    """The selected tab and the inputs but the photo, as the page's address asks for them."""
    text = dict(request.query_params).get(LINK_PARAMETER)
    if text is None:
        return gr.skip(), *[gr.skip()] * 3, *unchanged_slots(), gr.skip()

    def restored() -> tuple[Any, ...]:
        task, hypothesis, premise, slots = plan_values(plan_of_link(text))
        return gr.Tabs(selected=TAB), task, hypothesis, premise, *slots, gr.skip()

    def refused(*failure: Any) -> tuple[Any, ...]:
        unchanged = [gr.skip()] * 3
        return gr.Tabs(selected=TAB), *unchanged, *unchanged_slots(), error_html(*failure)

    return run_event(restored, refused)
