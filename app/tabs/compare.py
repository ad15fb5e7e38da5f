"""The Compare tab: the same input under several settings, side by side."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gradio as gr
import plotly.graph_objects as go

from app.client import Client
from app.comparison import comparison_html, setting_name
from app.controls import Presets, build_own_controls, offered, policy_choice
from app.errors import InputError
from app.followers import Follower
from app.panel import run_event
from app.photos import build_photo, read_photo
from app.pictures import error_html
from app.plots import NamedCost, savings_figure
from app.state import shown_from
from app.tabs import caption
from serve.schemas import CompareAnswer, CompareRequest, PoliciesReport

TASKS = get_args(CompareRequest.model_fields["task"].annotation)
LIMITS = CompareRequest.model_json_schema()["properties"]["policies"]
MIN_SETTINGS, MAX_SETTINGS = LIMITS["minItems"], LIMITS["maxItems"]
SETTINGS_WORDS = f"{MIN_SETTINGS} to {MAX_SETTINGS} settings"
EMPTY = f'<div class="off-empty">Choose a photo and {SETTINGS_WORDS}.</div>'


def build_tab(client: Client, report: PoliciesReport | None, examples: list[Path]) -> Follower:
    """Lay the tab out and wire it; how its settings follow the service is returned."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = build_photo("compare", examples)
        with gr.Column(scale=3, min_width=300):
            task = gr.Radio(TASKS, value=TASKS[0], label="Task")
            hypothesis = gr.Textbox(label="Sentence to judge (hypothesis)", visible=False)
            premise = gr.Textbox(
                label="What is known of the photo (premise, optional)", visible=False
            )
            presets = offered(report, TASKS[0])
            settings = gr.CheckboxGroup(
                presets.choices,
                value=first_settings(presets),
                label="Settings",
                info=f"{SETTINGS_WORDS}; the one ticked first is the reference",
                elem_classes="off-presets",
            )
            with gr.Accordion("Own thresholds", open=False):
                own = build_own_controls(report, TASKS[0])
            button = gr.Button("Compare", variant="primary", elem_id="compare-run")
    cards = gr.HTML(EMPTY, apply_default_css=False, elem_id="compare-cards")
    bars = gr.Plot(show_label=False, visible=False, elem_id="compare-bars")
    task.change(show_text_fields, task, [hypothesis, premise], api_visibility="private")
    inputs = [photo, task, hypothesis, premise, settings, *own]
    button.click(partial(compare_settings, client), inputs, [cards, bars], api_name="compare")
    return Follower([settings], [settings], follow_presets)


def follow_presets(report: PoliciesReport, chosen: Sequence[Any]) -> tuple[Any]:
    """New choices; what was ticked stays ticked where it is offered."""
    presets = offered(report, TASKS[0])
    names = [name for _, name in presets.choices]
    kept = [name for name in chosen[0] if name in names]
    value = kept if len(kept) >= MIN_SETTINGS else first_settings(presets)
    return (gr.update(choices=presets.choices, value=value),)


def first_settings(presets: Presets) -> list[str]:
    """What is ticked at the start: the wire format's default where offered, else the first two."""
    names = [name for _, name in presets.choices]
    usual = [name for name in CompareRequest(image="").policies if name in names]
    return [str(name) for name in usual] if len(usual) >= MIN_SETTINGS else names[:MIN_SETTINGS]


def show_text_fields(task: str) -> tuple[Any, Any]:
    """The sentences belong to entailment only."""
    is_needed = task != caption.TASK
    return gr.update(visible=is_needed), gr.update(visible=is_needed)


def compare_settings(
    client: Client,
    photo: str | None,
    task: str,
    hypothesis: str,
    premise: str,
    settings: list[str],
    *own: Any,
) -> tuple[str, Any]:
    """The cards and the bars of the same input under the settings."""

    def compare() -> tuple[str, Any]:
        request = build_request(photo, task, (hypothesis, premise), settings, own)
        return show_comparison(client.compare(request))

    hidden = gr.update(value=None, visible=False)
    return run_event(compare, lambda *failure: (error_html(*failure), hidden))


def build_request(
    photo: str | None,
    task: str,
    sentences: tuple[str, str],
    settings: list[str],
    own: tuple[Any, ...],
) -> CompareRequest:
    """What the service is asked.

    Args:
        photo: Path of the photo.
        task: One of ``TASKS``.
        sentences: Hypothesis and premise; not asked for captions.
        settings: Presets, and ``OWN`` for the own thresholds.
        own: Values of the own-threshold controls.

    Raises:
        InputError: No photo, too few or too many settings, or thresholds that are not valid.
    """
    if not MIN_SETTINGS <= len(settings) <= MAX_SETTINGS:
        raise InputError(f"{len(settings)} settings are ticked; tick {SETTINGS_WORDS}.")
    hypothesis, premise = sentences if task != caption.TASK else ("", "")
    return CompareRequest.model_validate(
        {
            "image": read_photo(photo),
            "task": task,
            "hypothesis": hypothesis if task != caption.TASK else None,
            "premise": premise.strip() or None,
            "policies": [policy_choice(name, own) for name in settings],
        }
    )


def show_comparison(answer: CompareAnswer) -> tuple[str, Any]:
    """The cards, and the bars made visible."""
    shown = [shown_from(each) for each in answer.answers]
    figure: go.Figure = savings_figure(
        [NamedCost(setting_name(each), each.trace.cost) for each in shown]
    )
    return comparison_html(shown, answer.is_same), gr.update(value=figure, visible=True)
