"""The Tags tab: words for what a photo shows, and after how many layers they were there."""

from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.client import Client
from app.controls import TAGS_TASK, PolicyControls, build_controls, policy_choice
from app.panel import explain_stop, run_event
from app.photos import build_photo, read_photo
from app.pictures import error_html, facts_html, modality_html, savings_html, stages_html
from app.state import shown_from
from serve.schemas import PoliciesReport, TagsAnswer, TagsRequest

TASK = TAGS_TASK
MAX_WORDS_BELOW = 8  # words that stay under the threshold, likeliest first
EMPTY = '<div class="off-empty">Drop a photo in, or take one of the examples.</div>'


class TagValues(NamedTuple):
    """New values of the tab's outputs, in their order."""

    words: str
    layers: str
    why: str
    plot: Any


def build_tab(
    client: Client, report: PoliciesReport | None, examples: list[Path]
) -> PolicyControls:
    """Lay the tab out and wire it; its setting is returned so that the page can refresh it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photo = build_photo(TASK, examples)
            controls = build_controls(report, TASK)
            button = gr.Button("Name what it shows", variant="primary", elem_id="tags-run")
        with gr.Column(scale=3, min_width=300):
            words = gr.HTML(EMPTY, apply_default_css=False, elem_id="tags-words")
            layers = gr.HTML(apply_default_css=False, elem_id="tags-layers")
            why = gr.HTML(apply_default_css=False, elem_id="tags-why")
            plot = gr.Plot(show_label=False, visible=False, elem_id="tags-score")
    button.click(
        partial(tag_photo, client),
        [photo, *controls.inputs],
        [words, layers, why, plot],
        api_name="tags",
    )
    return controls


def tag_photo(client: Client, photo: str | None, preset: str | None, *own: Any) -> TagValues:
    """The words, the layers and the curve for the photo at a path."""
    hidden = gr.update(value=None, visible=False)
    return run_event(
        lambda: show_tags(ask(client, photo, preset, own)),
        lambda *failure: TagValues(error_html(*failure), "", "", hidden),
    )


def ask(client: Client, photo: str | None, preset: str | None, own: tuple[Any, ...]) -> TagsAnswer:
    """The service's words.

    Raises:
        InputError: There is no photo, or the own thresholds are not valid.
        ServiceError: The service refused or failed.
    """
    policy = policy_choice(preset, own)
    return client.tags(TagsRequest(image=read_photo(photo), policy=policy))


def show_tags(answer: TagsAnswer) -> TagValues:
    """The tab filled with an answer."""
    why, figure = explain_stop("image", shown_from(answer))
    plot = gr.update(value=figure, visible=True)
    return TagValues(words_html(answer), layers_html(answer), why, plot)


def words_html(answer: TagsAnswer) -> str:
    """Words with bars of their probability, those of the answer first, and facts."""
    chosen = {word.word for word in answer.words}
    below = sorted(answer.probabilities.items(), key=lambda item: -item[1])
    below = [item for item in below if item[0] not in chosen][:MAX_WORDS_BELOW]
    headline = ", ".join(word.word for word in answer.words) or "no word is likely enough"
    bars = "".join(bar_html(word.word, word.probability, True) for word in answer.words)
    bars += "".join(bar_html(word, share, False) for word, share in below)
    return (
        '<section class="off-answer" aria-label="Tags">'
        f'<p class="off-headline">{escape(headline)}</p>'
        f'<p class="off-hint">A word belongs to the photo from a probability of '
        f"{answer.threshold:.2f} on.</p>{bars}"
        f'<p class="off-facts">{facts_html(shown_from(answer))}</p></section>'
    )


def bar_html(word: str, probability: float, is_chosen: bool) -> str:
    """One word with its bar."""
    name = f"<b>{escape(word)}</b>" if is_chosen else escape(word)
    return (
        f'<div class="off-meter"><span>{name} {probability:.2f}</span>'
        f'<span class="off-track"><i style="width:{100 * probability:.1f}%"></i></span></div>'
    )


def layers_html(answer: TagsAnswer) -> str:
    """The layers that ran, and what that saved."""
    image, cost = answer.trace.encoder.image, answer.trace.cost
    return (
        '<section class="off-picture" aria-label="Which layers ran"><h3>Which layers ran</h3>'
        f"{modality_html('Image', 'image', image, is_linked=False)}"
        f'<div class="off-meters">{savings_html(cost)}</div>{stages_html(cost)}</section>'
    )
