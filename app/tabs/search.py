"""The Search tab: a visitor's photos in the order of their likeness to a text."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.client import Client
from app.controls import PolicyControls, build_controls, policy_choice
from app.errors import InputError
from app.panel import run_event
from app.pictures import CACHE_WORDS, error_html, modality_html
from app.ranking import Ranked, Ranking, Refused, Report, Vectors, photo_name, rank_photos
from serve.schemas import PoliciesReport

TASK = "retrieval"
MAX_PHOTOS = 50
EMPTY = f'<div class="off-empty">Drop up to {MAX_PHOTOS} photos in and say what to look for.</div>'

Picture = tuple[str, str]


class SearchValues(NamedTuple):
    """New values of the tab's outputs, in their order."""

    summary: str
    gallery: Any
    vectors: Vectors


def build_tab(
    client: Client, report: PoliciesReport | None, examples: list[Path]
) -> PolicyControls:
    """Lay the tab out and wire it; its setting is returned so that the page can refresh it."""
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            photos = gr.File(
                file_count="multiple",
                file_types=["image"],
                label=f"Photos, up to {MAX_PHOTOS}",
                height=220,
                elem_id="search-photos",
            )
            take = gr.Button("Take the example photos", size="sm", visible=bool(examples))
            text = gr.Textbox(label="What to look for", placeholder="a cat on a sofa")
            controls = build_controls(report, TASK)
            button = gr.Button("Search these photos", variant="primary", elem_id="search-run")
        with gr.Column(scale=3, min_width=300):
            summary = gr.HTML(EMPTY, apply_default_css=False, elem_id="search-summary")
            gallery = gr.Gallery(
                visible=False, label="Nearest first", columns=3, elem_id="search-gallery"
            )
    vectors = gr.State({})
    paths = [str(path) for path in examples]
    take.click(lambda: paths, None, photos, api_visibility="private", show_progress="hidden")
    inputs = [photos, text, vectors, controls.preset]
    outputs = [summary, gallery, vectors]
    search = partial(search_photos, client)
    button.click(search, [*inputs, *controls.own], outputs, api_name="search")
    text.submit(search, [*inputs, *controls.own], outputs, api_visibility="private")
    return controls


def search_photos(
    client: Client,
    photos: list[str] | None,
    text: str,
    kept: Vectors,
    preset: str | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio looks for it here
    *own: Any,
) -> SearchValues:
    """The ranking of the photos at some paths; kept vectors are not asked for again."""
    hidden = gr.update(value=None, visible=False)
    return run_event(
        lambda: show_ranking(ask(client, photos, text, kept, preset, own, progress)),
        lambda *failure: SearchValues(error_html(*failure), hidden, kept),
    )


def show_ranking(ranking: Ranking) -> SearchValues:
    """The tab filled with a ranking."""
    pictures = [picture(ranked) for ranked in ranking.photos]
    shown = gr.update(value=pictures, visible=bool(pictures))
    return SearchValues(ranking_html(ranking), shown, ranking.vectors)


def ask(
    client: Client,
    photos: list[str] | None,
    text: str,
    kept: Vectors,
    preset: str | None,
    own: tuple[Any, ...],
    report: Report,
) -> Ranking:
    """The ranking.

    Raises:
        InputError: There is no photo, there are too many, there is no text, or the own thresholds
            are not valid.
        ServiceError: The service refused the text, or does not answer.
    """
    if not photos:
        raise InputError("There are no photos yet: drop some in, or take the examples.")
    if len(photos) > MAX_PHOTOS:
        raise InputError(f"These are {len(photos)} photos; at most {MAX_PHOTOS} can be searched.")
    if not text.strip():
        raise InputError("Say what to look for, in a few words.")
    return rank_photos(client, photos, text, policy_choice(preset, own), kept, report)


def picture(ranked: Ranked) -> Picture:
    """A photo of the gallery with the words below it."""
    image = ranked.answer.trace.encoder.image
    words = f"{ranked.rank}. cosine {ranked.cosine:.3f}, {image.depth} of {image.num_layers} layers"
    return ranked.path, words


def ranking_html(ranking: Ranking) -> str:
    """The layers of the text and of each photo, what was computed, and what was refused."""
    refused = "".join(refusal_html(one) for one in ranking.refused)
    num_kept = len(ranking.photos) - ranking.num_asked
    text = modality_html("Text", "text", ranking.text.trace.encoder.text, is_linked=False)
    photos = "".join(ranked_html(ranked) for ranked in ranking.photos)
    return (
        f'{refused}<section class="off-picture off-ranked" aria-label="Which layers ran">'
        f"<h3>Which layers ran</h3>"
        f'<p class="off-hint">Only the encoder runs for a search. Photos: {ranking.num_asked} '
        f"embedded for this search, {num_kept} known from before. "
        f"Text: {CACHE_WORDS[ranking.text.cache]}.</p>"
        f"{text}<h4>Photos, nearest first</h4>{photos}</section>"
    )


def ranked_html(ranked: Ranked) -> str:
    """One photo's bar, with its rank, name and cosine."""
    name = f"{ranked.rank}. {photo_name(ranked.path)} ({ranked.cosine:.3f})"
    return modality_html(name, "image", ranked.answer.trace.encoder.image, is_linked=False)


def refusal_html(refused: Refused) -> str:
    """Why a photo takes no part."""
    sentence = f"{photo_name(refused.path)}: {refused.error.message}"
    return error_html(sentence, refused.error.request_id)
