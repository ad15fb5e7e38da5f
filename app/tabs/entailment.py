"""The Entailment tab: does the photo show what a sentence says?"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app.asking import Words, ask_label
from app.client import Client
from app.controls import PolicyControls, build_controls, policy_choice
from app.panel import build_panel, show_arriving
from app.photos import build_photo, read_photo
from app.state import Shown
from serve.rules import PolicyChoice
from serve.schemas import EntailmentRequest, PoliciesReport

TASK = "entailment"


def build_tab(
    client: Client, report: PoliciesReport | None, examples: list[Path]
) -> PolicyControls:
    """Lay the tab out and wire it; its setting is returned so that the page can refresh it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = build_photo(TASK, examples)
            hypothesis = gr.Textbox(
                label="Sentence to judge (hypothesis)", placeholder="A cat looks into the camera."
            )
            premise = gr.Textbox(label="What is known of the photo (premise, optional)")
            controls = build_controls(report, TASK)
            button = gr.Button("Judge the sentence", variant="primary", elem_id="entailment-run")
        with gr.Column(scale=3, min_width=300):
            probabilities = gr.Label(label="Probabilities", visible=False, show_heading=False)
            panel = build_panel(TASK, "Give a photo and a sentence about it.")
    inputs = [photo, hypothesis, premise, *controls.inputs]
    outputs = [probabilities, *panel.outputs]
    judge = partial(judge_sentence, client)
    for event in (button.click, hypothesis.submit):
        event(judge, inputs, outputs, api_visibility="private", show_progress="hidden")
    return controls


def judge_sentence(
    client: Client,
    photo: str | None,
    hypothesis: str,
    premise: str,
    preset: str | None,
    *own: Any,
) -> Iterator[tuple[Any, ...]]:
    """The label's probabilities, then the panel, for a photo and a sentence, as they arrive."""

    def ask() -> Iterator[Words | Shown]:
        policy = policy_choice(preset, own)
        return ask_label(client, build_request(photo, hypothesis, premise, policy))

    for values in show_arriving(client, ask):
        known = values.shown.probabilities if values.shown else None
        yield gr.update(value=known, visible=known is not None), *values


def build_request(
    photo: str | None, hypothesis: str, premise: str, policy: PolicyChoice | None
) -> EntailmentRequest:
    """What the service is asked.

    Raises:
        InputError: There is no photo.
    """
    return EntailmentRequest(
        image=read_photo(photo),
        hypothesis=hypothesis,
        premise=premise.strip() or None,
        policy=policy,
    )
