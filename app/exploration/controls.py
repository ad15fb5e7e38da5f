"""What a visitor sets before a sweep: photos, what people say of them, and the settings to try.

Values travel to the callback as plain strings and numbers, in the order of `SweepInputs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import gradio as gr

from app.controls import LAYER_COUNTS, MAX_DEPTH_SHOWN, NO_VALUE_KIND, SITES, offered_kinds
from app.exploration.examples import CAPTION, ENTAILMENT, FORMATS, MAX_PHOTOS
from app.exploration.grid import MAX_THRESHOLDS, SiteRange, site_ranges
from serve.schemas import PoliciesReport

FIRST_KIND = "similarity"
FIRST_RANGE = (0.98, 0.7)  # safest and cheapest
FIRST_LAYERS = (5, 1)
FIRST_NUM_THRESHOLDS = 6
FIRST_NUM_AT_A_TIME, MAX_AT_A_TIME = 8, 16
FORMAT_WORDS = """
CSV with a header, or JSONL. One row per reference caption, or per sentence to judge; each names its
`photo`.

| field | what it is |
| --- | --- |
| `photo` | name of an uploaded photo |
| `caption` | what a person wrote; several rows may name one photo. JSONL also: `captions`, a list |
| `hypothesis` | a sentence to judge |
| `premise` | what is known of the photo, optional |
| `label` | what a person judged, optional |

    photo,caption
    cat.png,A cat looks into the camera.
"""


class SweepInputs(NamedTuple):
    """What a sweep is told."""

    photos: list[str]
    task: str
    hypothesis: str
    file: str | None
    num_thresholds: int
    has_fixed: bool
    num_at_a_time: int
    sites: dict[str, SiteRange]

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> Self:
        """From the controls' values, in order; the last three per site are kind and both ends."""
        photos, task, hypothesis, file, num_thresholds, has_fixed, num_at_a_time, *sites = values
        return cls(
            photos or [],
            task,
            hypothesis or "",
            file,
            int(num_thresholds),
            bool(has_fixed),
            int(num_at_a_time),
            site_ranges(sites),
        )


@dataclass(frozen=True)
class SweepControls:
    """The components, in the order of `SweepInputs`, and the two buttons."""

    inputs: list[gr.components.Component]
    run: gr.Button
    stop: gr.Button


def build_sweep_controls(report: PoliciesReport | None, examples: list[Path]) -> SweepControls:
    """Lay the controls out."""
    photos = build_photos(examples)
    task = gr.Radio([CAPTION, ENTAILMENT], value=CAPTION, label="Task")
    hypothesis = gr.Textbox(
        label="Sentence to judge on every photo (hypothesis)",
        info="Not needed with a file of sentences",
        visible=False,
    )
    task.change(show_hypothesis, task, hypothesis, api_visibility="private", show_progress="hidden")
    with gr.Accordion("References, or sentences with labels (optional)", open=False):
        file = gr.File(
            file_types=list(FORMATS), label="CSV or JSONL", height=140, elem_id="explore-references"
        )
        gr.Markdown(FORMAT_WORDS)
    with gr.Accordion("Settings to try", open=False):
        sites = [part for site in SITES for part in build_site(report, site)]
        num_thresholds = gr.Slider(
            1,
            MAX_THRESHOLDS,
            value=FIRST_NUM_THRESHOLDS,
            step=1,
            label="Steps from the safest to the cheapest",
            info="All sites move together",
        )
        has_fixed = gr.Checkbox(value=True, label="Fixed depths beside them")
        num_at_a_time = gr.Slider(
            1,
            MAX_AT_A_TIME,
            value=FIRST_NUM_AT_A_TIME,
            step=1,
            label="Requests at a time",
            info="More is sooner done; 1 gives times that no other request of yours has slowed",
        )
    with gr.Row():
        run = gr.Button("Sweep these photos", variant="primary", elem_id="explore-run")
        stop = gr.Button("Stop", interactive=False, elem_id="explore-stop", min_width=90, scale=0)
    inputs = [photos, task, hypothesis, file, num_thresholds, has_fixed, num_at_a_time, *sites]
    return SweepControls(inputs, run, stop)


def build_photos(examples: list[Path]) -> gr.File:
    """The photos, and a button that takes the example photographs."""
    photos = gr.File(
        file_count="multiple",
        file_types=["image"],
        label=f"Photos, up to {MAX_PHOTOS}",
        height=220,
        elem_id="explore-photos",
    )
    take = gr.Button("Take the example photos", size="sm", visible=bool(examples))
    paths = [str(path) for path in examples]
    take.click(lambda: paths, None, photos, api_visibility="private", show_progress="hidden")
    return photos


def build_site(report: PoliciesReport | None, site: str) -> list[gr.components.Component]:
    """Kind of rule of one site, its safest and its cheapest value."""
    kinds = offered_kinds(report, site, CAPTION)
    safest, cheapest = FIRST_RANGE
    with gr.Row():
        kind = gr.Dropdown(
            kinds,
            value=FIRST_KIND if FIRST_KIND in kinds else kinds[-1],
            label=f"{site}: rule",
            min_width=120,
        )
        ends = [
            gr.Number(value, label=f"{site}: {name}", min_width=100, step=0.01)
            for name, value in (("safest", safest), ("cheapest", cheapest))
        ]
    kind.input(partial(first_ends), kind, ends, api_visibility="private", show_progress="hidden")
    return [kind, *ends]


def first_ends(kind: str) -> tuple[Any, Any]:
    """The ends that a kind of rule starts with: thresholds, layers, or none."""
    is_counted = kind in LAYER_COUNTS
    values = FIRST_LAYERS if is_counted else FIRST_RANGE
    limits = (1, MAX_DEPTH_SHOWN, 1) if is_counted else (0, 1, 0.01)
    minimum, maximum, step = limits
    safest, cheapest = (
        gr.update(
            value=value, minimum=minimum, maximum=maximum, step=step, visible=kind != NO_VALUE_KIND
        )
        for value in values
    )
    return safest, cheapest


def show_hypothesis(task: str) -> Any:
    """The sentence belongs to entailment only."""
    return gr.update(visible=task == ENTAILMENT)
