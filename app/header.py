"""The head of the page: what answers, whether it is up, and the watch that heals the page.

A service that is down does not stop the page: the head says so, asks again by itself, and brings
the presets in when it is back. Callbacks are functions of plain values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from app.client import Client
from app.errors import ServiceError
from app.followers import Follower, all_updates
from app.pictures import error_html
from serve.schemas import HealthReport, ModelReport

TITLE = "Offramp"
TAGLINE = "Vision and language that stops computing as soon as the answer is there."
HEADER = f'<header class="off-title"><h1>{TITLE}</h1><p>{TAGLINE}</p></header>'
WATCH_S = 15.0
RETRY_S = 3.0
RETRY_WORDS = f"This page asks again every {RETRY_S:g} s; nothing has to be reloaded."


@dataclass(frozen=True)
class Header:
    """The components of the head."""

    status: gr.HTML
    retry: gr.Button
    watch: gr.Timer
    is_up: gr.State

    @property
    def outputs(self) -> list[Any]:
        """Outputs of a callback that returns the head's values, in order."""
        return [self.status, self.retry, self.watch, self.is_up]


def build_header() -> Header:
    """Lay the head out."""
    gr.HTML(HEADER, apply_default_css=False)
    with gr.Row(equal_height=True):
        status = gr.HTML(
            '<div class="off-status" role="status">Asking the service …</div>',
            apply_default_css=False,
            elem_id="service-status",
            min_height=28,
        )
        retry = gr.Button("Ask again", size="sm", scale=0, min_width=110, visible=False)
    return Header(status, retry, gr.Timer(WATCH_S), gr.State(True))


def wire_header(
    header: Header, page: gr.Blocks, client: Client, followers: Sequence[Follower]
) -> Any:
    """Refresh on load, on the button, and when the service has come back; the first is returned."""
    inputs = [part for follower in followers for part in follower.inputs]
    outputs = [*header.outputs, *(part for follower in followers for part in follower.outputs)]
    refresh = partial(refresh_service, client, followers)
    loaded = page.load(refresh, inputs, outputs, api_visibility="private", show_progress="hidden")
    header.retry.click(refresh, inputs, outputs, api_visibility="private")
    header.watch.tick(
        partial(watch_service, client, followers),
        [header.is_up, *inputs],
        outputs,
        api_visibility="private",
        show_progress="hidden",
        trigger_mode="once",
    )
    return loaded


def refresh_service(client: Client, followers: Sequence[Follower], *chosen: Any) -> tuple[Any, ...]:
    """The head and the presets of every tab, as the service gives them now."""
    try:
        report = client.policies()
        head = head_values(client.model(), client.health())
    except ServiceError as error:
        return *down_values(error), *unchanged(followers)
    return *head, *all_updates(followers, report, chosen)


def watch_service(
    client: Client, followers: Sequence[Follower], was_up: bool, *chosen: Any
) -> tuple[Any, ...]:
    """The head as it is now; the presets too, but only when the service has come back."""
    if not was_up:
        return refresh_service(client, followers, *chosen)
    try:
        return *head_values(client.model(), client.health()), *unchanged(followers)
    except ServiceError as error:
        return *down_values(error), *unchanged(followers)


def unchanged(followers: Sequence[Follower]) -> list[Any]:
    """What leaves the controls as they are."""
    return [gr.skip() for follower in followers for _ in follower.outputs]


def head_values(model: ModelReport, health: HealthReport) -> tuple[Any, ...]:
    """The head of a service that answers."""
    return status_html(model, health), gr.update(visible=False), gr.update(value=WATCH_S), True


def down_values(error: ServiceError) -> tuple[Any, ...]:
    """The head of a service that does not."""
    sentence = error_html(f"{error.message} {RETRY_WORDS}", error.request_id)
    return sentence, gr.update(visible=True), gr.update(value=RETRY_S), False


def status_html(model: ModelReport, health: HealthReport) -> str:
    """One line on what answers, and every warning of the service."""
    warnings = "".join(error_html(warning) for warning in health.warnings)
    facts = (
        f"<b>{escape(model.name)}</b> {model.num_parameters / 1e6:.0f} M parameters, "
        f"{model.num_encoder_layers} encoder and {model.num_decoder_layers} decoder layers, "
        f"{model.dtype} on {model.device} · result cache: {health.cache_backend}"
        f"{'' if health.cache_is_up or health.cache_backend == 'off' else ' (down)'}"
    )
    return f'<div class="off-status" role="status">{facts}</div>{warnings}'
