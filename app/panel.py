"""The panel that shows one answer: words, exit picture, cost, the curve that explains a stop.

Shared by the Caption and Entailment tabs. Callbacks are functions of plain values; the answer on
show is held per session in ``gr.State``.
"""

import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gradio as gr
import plotly.graph_objects as go

from app import pictures
from app.asking import Words
from app.client import Client
from app.errors import InputError, PageError
from app.exits import default_site, score_curve, score_sites
from app.links import file_link_html
from app.plots import score_figure
from app.policy_file import policy_yaml
from app.presets import rules_words
from app.state import MAX_TRACE_BYTES, Shown, load_trace, save_link_html

logger = logging.getLogger(__name__)

Values = TypeVar("Values")

# Names in the picture are buttons; a press tells Gradio which one.
PICTURE_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-site]');
  if (button) trigger('click', { site: button.dataset.site });
});
"""


class PanelValues(NamedTuple):
    """New values of the panel's components, in their order."""

    answer: str
    details: Any
    picture: Any
    cost: Any
    site: Any
    why: Any
    plot: Any
    save: str
    shown: Shown | None


@dataclass(frozen=True)
class Panel:
    """The components of a panel."""

    answer: gr.HTML
    details: gr.Column
    picture: gr.HTML
    cost: gr.HTML
    site: gr.Dropdown
    why: gr.HTML
    plot: gr.Plot
    save: gr.HTML
    shown: gr.State
    trace_file: gr.UploadButton

    @property
    def outputs(self) -> list[Any]:
        """Outputs of a callback that returns `PanelValues`."""
        return [
            self.answer,
            self.details,
            self.picture,
            self.cost,
            self.site,
            self.why,
            self.plot,
            self.save,
            self.shown,
        ]


def build_panel(task: str, invitation: str) -> Panel:
    """Lay the panel out, empty, and wire what happens inside it."""
    empty = f'<div class="off-empty">{invitation}</div>'
    answer = gr.HTML(empty, apply_default_css=False, elem_id=f"{task}-answer")
    with gr.Column(visible=False) as details:
        picture = gr.HTML(apply_default_css=False, js_on_load=PICTURE_JS, elem_id=f"{task}-picture")
        cost = gr.HTML(apply_default_css=False, elem_id=f"{task}-cost")
        with gr.Column(elem_id=f"{task}-explain"):
            gr.Markdown("### Why did it stop there?")
            site = gr.Dropdown([], label="Show the score of", elem_id=f"{task}-site")
            why = gr.HTML(apply_default_css=False, elem_id=f"{task}-why")
            plot = gr.Plot(show_label=False, elem_id=f"{task}-score")
    with gr.Row(equal_height=True):
        save = gr.HTML(apply_default_css=False)
        trace_file = gr.UploadButton(
            "Open a saved trace", file_types=[".json"], size="sm", scale=0, elem_id=f"{task}-trace"
        )
    shown = gr.State(None)
    panel = Panel(answer, details, picture, cost, site, why, plot, save, shown, trace_file)
    wire_panel(panel, task)
    return panel


def wire_panel(panel: Panel, task: str) -> None:
    """Connect the score choice, the names in the picture and the trace file."""
    panel.site.input(
        explain_stop,
        [panel.site, panel.shown],
        [panel.why, panel.plot],
        api_name=f"{task}_explain_stop",
        show_progress="hidden",
    )
    panel.picture.click(
        choose_site,
        panel.shown,
        [panel.site, panel.why, panel.plot],
        api_visibility="private",
        show_progress="hidden",
    )
    panel.trace_file.upload(
        open_trace, panel.trace_file, panel.outputs, api_name=f"{task}_open_trace"
    )


def show_answer(shown: Shown) -> PanelValues:
    """The panel filled with an answer."""
    site = default_site(shown.trace)
    why, plot = explain_stop(site, shown)
    return PanelValues(
        answer=pictures.answer_html(shown),
        details=gr.update(visible=True),
        picture=pictures.picture_html(shown.trace),
        cost=pictures.cost_html(shown),
        site=gr.update(choices=score_sites(shown.trace), value=site),
        why=why,
        plot=plot,
        save=save_links_html(shown),
        shown=shown,
    )


def save_links_html(shown: Shown) -> str:
    """Links that save the trace, and the setting where it is known."""
    links = [save_link_html(shown)]
    if shown.policy:
        task = "caption" if shown.label is None else "entailment"
        text = policy_yaml(task, shown.policy.rules, f"From the page: {setting_words(shown)}.")
        name = "offramp-setting.yaml"
        links.append(file_link_html("Save this setting as YAML", name, "text/yaml", text.encode()))
    return f'<p class="off-links">{" ".join(links)}</p>'


def setting_words(shown: Shown) -> str:
    """The setting's name and rules."""
    policy = shown.policy
    if policy is None:
        return "a setting that is not known"
    return f"{policy.name or 'own thresholds'}, {rules_words(policy.rules)}"


def show_error(message: str, request_id: str | None = None) -> PanelValues:
    """The panel with a sentence in place of an answer, so that no older answer is taken for it."""
    return PanelValues(
        answer=pictures.error_html(message, request_id),
        details=gr.update(visible=False),
        picture="",
        cost="",
        site=gr.update(choices=[], value=None),
        why="",
        plot=None,
        save="",
        shown=None,
    )


def guarded(answer: Callable[[], Shown]) -> PanelValues:
    """The panel for an answer, or for what failed."""
    return run_event(lambda: show_answer(answer()), show_error)


def show_arriving(
    client: Client, ask: Callable[[], Iterator[Words | Shown]]
) -> Iterator[PanelValues]:
    """The panel again and again: waiting, words as they arrive, the answer or what failed.

    Args:
        client: Says how many layers there are, for the colours of the words.
        ask: Starts the question.
    """
    try:
        yield show_words((), 1)
        parts, num_layers = ask(), client.model().num_decoder_layers
        for part in parts:
            yield show_answer(part) if isinstance(part, Shown) else show_words(part, num_layers)
    except Exception as error:  # noqa: BLE001 - the border of a UI event
        yield show_error(*sentence_of(error))


def show_words(words: Words, num_layers: int) -> PanelValues:
    """The panel while the answer is under way; nothing of an older one stays."""
    return PanelValues(
        answer=pictures.arriving_html(words, num_layers),
        details=gr.update(visible=False) if not words else gr.skip(),
        picture=gr.skip(),
        cost=gr.skip(),
        site=gr.skip(),
        why=gr.skip(),
        plot=gr.skip(),
        save="",
        shown=None,
    )


def run_event(
    event: Callable[[], Values], show_failure: Callable[[str, str | None], Values]
) -> Values:
    """The border of a UI event: whatever fails becomes a sentence, the rest goes to the log.

    Args:
        event: Gives the new values of the outputs.
        show_failure: Gives them for a sentence and the id to quote, where the event fails.
    """
    try:
        return event()
    except Exception as error:  # noqa: BLE001 - the border of a UI event
        return show_failure(*sentence_of(error))


def sentence_of(error: Exception) -> tuple[str, str | None]:
    """What to tell a person about a failure, and the id to quote."""
    if isinstance(error, PageError):
        return error.message, error.request_id
    incident = uuid.uuid4().hex[:12]
    logger.error("UI event %s failed", incident, exc_info=error)
    return "Something went wrong on this page. Try again; if it stays, report the id.", incident


def explain_stop(site: str | None, shown: Shown | None) -> tuple[str, go.Figure | None]:
    """The sentence and the curve of one site."""
    if shown is None or site is None:
        return "", None
    curve = score_curve(shown.trace, site, shown.policy.rules if shown.policy else None)
    return f'<p class="off-why">{escape(curve.sentence)}</p>', score_figure(curve)


def choose_site(shown: Shown | None, event: gr.EventData) -> tuple[Any, str, go.Figure | None]:
    """A name in the picture was pressed: explain its stop."""
    why, plot = explain_stop(event.site, shown)
    return gr.update(value=event.site), why, plot


def open_trace(path: str | None) -> PanelValues:
    """The panel filled from a trace file."""
    return guarded(lambda: read_trace(path))


def read_trace(path: str | None) -> Shown:
    """The answer in a trace file.

    Raises:
        InputError: No file, or not a trace.
    """
    if path is None:
        raise InputError("Choose a trace file first.")
    with Path(path).open("rb") as file:
        return load_trace(file.read(MAX_TRACE_BYTES + 1))
