"""The page: header with the state of the service, and the tabs.

``build_ui`` makes the Gradio blocks for one client; nothing here reads settings or starts a server.
A service that is down does not stop the page: the header says so, and one button asks again.
"""

from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import pictures
from app.client import Client
from app.controls import fetch_policies, offered
from app.errors import ServiceError
from app.tabs import caption, compare, entailment, search, tags
from serve.schemas import HealthReport, ModelReport, PoliciesReport

TITLE = "Offramp"
TAGLINE = "Vision and language that stops computing as soon as the answer is there."
HEADER = f'<header class="off-title"><h1>{TITLE}</h1><p>{TAGLINE}</p></header>'
MAX_CONCURRENT_EVENTS = 16
# Of the tabs with a choice of one preset, in the order of their refreshed values.
PRESET_TASKS = (caption.TASK, entailment.TASK, search.TASK, tags.TASK)


def build_ui(client: Client, examples: list[Path] | None = None) -> gr.Blocks:
    """The page.

    Args:
        client: Of the service; asked once for its presets, which may fail.
        examples: Photos offered below each photo input.
    """
    report, photos = fetch_policies(client), examples or []
    page = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        gr.HTML(HEADER, apply_default_css=False)
        with gr.Row(equal_height=True):
            status = gr.HTML(apply_default_css=False, elem_id="service-status")
            retry = gr.Button("Ask again", size="sm", scale=0, min_width=110, visible=False)
        with gr.Tab("Caption", id=caption.TASK):
            captions = caption.build_tab(client, report, photos)
        with gr.Tab("Entailment", id=entailment.TASK):
            labels = entailment.build_tab(client, report, photos)
        with gr.Tab("Compare", id="compare"):
            settings = compare.build_tab(client, report, photos)
        with gr.Tab("Search", id="search"):
            searches = search.build_tab(client, report, photos)
        with gr.Tab("Tags", id=tags.TASK):
            words = tags.build_tab(client, report, photos)
        controls = (captions, labels, searches, words)
        refreshed = [status, retry, settings, *(one.preset for one in controls)]
        refresh = partial(refresh_service, client)
        page.load(refresh, None, refreshed, api_name="refresh", show_progress="hidden")
        retry.click(refresh, None, refreshed, api_visibility="private")
    page.queue(default_concurrency_limit=MAX_CONCURRENT_EVENTS)
    return page


def refresh_service(client: Client) -> tuple[Any, ...]:
    """The header's state and the presets of each tab, as the service gives them now."""
    try:
        report = client.policies()
        status = status_html(client.model(), client.health())
    except ServiceError as error:
        sentence = pictures.error_html(error.message, error.request_id)
        return sentence, gr.update(visible=True), *[gr.skip()] * (1 + len(PRESET_TASKS))
    return (
        status,
        gr.update(visible=False),
        settings_update(report),
        *(preset_update(report, task) for task in PRESET_TASKS),
    )


def preset_update(report: PoliciesReport, task: str) -> Any:
    """New choices for a preset radio."""
    presets = offered(report, task)
    return gr.update(choices=presets.choices, value=presets.default)


def settings_update(report: PoliciesReport) -> Any:
    """New choices for the settings to compare."""
    presets = offered(report, compare.TASKS[0])
    return gr.update(choices=presets.choices, value=compare.first_settings(presets))


def status_html(model: ModelReport, health: HealthReport) -> str:
    """One line on what answers, and every warning of the service."""
    warnings = "".join(pictures.error_html(warning) for warning in health.warnings)
    facts = (
        f"<b>{escape(model.name)}</b> {model.num_parameters / 1e6:.0f} M parameters, "
        f"{model.num_encoder_layers} encoder and {model.num_decoder_layers} decoder layers, "
        f"{model.dtype} on {model.device} · result cache: {health.cache_backend}"
        f"{'' if health.cache_is_up or health.cache_backend == 'off' else ' (down)'}"
    )
    return f'<div class="off-status" role="status">{facts}</div>{warnings}'
