"""The Caption tab: a photo in, its caption out with the layers that ran."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app.client import Client
from app.controls import PolicyControls, build_controls, policy_choice
from app.panel import PanelValues, build_panel, guarded
from app.photos import build_photo, read_photo
from app.state import Shown, shown_from
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
            button = gr.Button("Describe this photo", variant="primary", elem_id="caption-run")
        with gr.Column(scale=3, min_width=300):
            panel = build_panel(TASK, "Drop a photo in, or take one of the examples.")
    button.click(
        partial(caption_photo, client),
        [photo, *controls.inputs],
        panel.outputs,
        api_name="caption",
    )
    return controls


def caption_photo(client: Client, photo: str | None, preset: str | None, *own: Any) -> PanelValues:
    """The panel for the caption of the photo at a path."""
    return guarded(lambda: ask(client, photo, preset, own))


def ask(client: Client, photo: str | None, preset: str | None, own: tuple[Any, ...]) -> Shown:
    """The service's caption.

    Raises:
        InputError: There is no photo, or the own thresholds are not valid.
        ServiceError: The service refused or failed.
    """
    policy = policy_choice(preset, own)
    return shown_from(client.caption(CaptionRequest(image=read_photo(photo), policy=policy)))
