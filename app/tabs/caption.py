"""The Caption tab: a photo in, its caption out word by word, with the layers that ran."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app.asking import Words, ask_caption
from app.client import Client
from app.controls import PolicyControls, build_beams, build_controls, policy_choice
from app.panel import PanelValues, build_panel, show_arriving
from app.photos import build_photo, read_photo
from app.state import Shown
from serve.schemas import CaptionRequest, PoliciesReport

TASK = "caption"


def build_tab(
    client: Client, report: PoliciesReport | None, examples: list[Path]
) -> PolicyControls:
    """Lay the tab out and wire it; its setting is returned so that the page can refresh it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = build_photo(TASK, examples)
            controls = build_controls(report, TASK)
            with gr.Accordion("Search", open=False):
                beams = build_beams()
            button = gr.Button("Describe this photo", variant="primary", elem_id="caption-run")
        with gr.Column(scale=3, min_width=300):
            panel = build_panel(TASK, "Drop a photo in, or take one of the examples.")
    button.click(
        partial(caption_photo, client),
        [photo, beams, *controls.inputs],
        panel.outputs,
        api_visibility="private",
        show_progress="hidden",  # the words themselves show it
    )
    return controls


def caption_photo(
    client: Client, photo: str | None, beams: float, preset: str | None, *own: Any
) -> Iterator[PanelValues]:
    """The panel as the caption of the photo at a path arrives."""
    yield from show_arriving(client, lambda: ask(client, photo, beams, preset, own))


def ask(
    client: Client, photo: str | None, beams: float, preset: str | None, own: tuple[Any, ...]
) -> Iterator[Words | Shown]:
    """The service's caption.

    Raises:
        InputError: There is no photo, or the own thresholds are not valid.
        ServiceError: The service refused or failed.
    """
    policy = policy_choice(preset, own)
    return ask_caption(
        client, CaptionRequest(image=read_photo(photo), policy=policy, num_beams=int(beams))
    )
