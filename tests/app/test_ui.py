"""The page as a whole: built, launched, and asked through its own API.

The tests are coroutines because Gradio, built where no event loop runs, makes loops of its own and
never closes them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client import Client as PageClient
from gradio_client import handle_file

from app.client import Client
from app.launch import launch_page
from app.photos import copy_examples
from app.ui import build_ui


@contextmanager
def launched(page: gr.Blocks) -> Iterator[str]:
    address = launch_page(page, "127.0.0.1", None, max_upload_mib=10)
    try:
        yield address
    finally:
        page.close(verbose=False)


async def test_page_answers_a_caption_request(
    client: Client, tmp_path: Path, own_values: tuple[Any, ...]
) -> None:
    photo = copy_examples(tmp_path)[0]
    with launched(build_ui(client)) as address:
        visitor = PageClient(address, verbose=False)
        answer, *_ = visitor.predict(
            handle_file(str(photo)),
            "balanced",
            *("similarity", 0.97, "never", 0.9, "confidence", 0.4, "deferred", 0),
            api_name="/caption",
        )
    assert "a cat looks into the camera" in answer


async def test_page_searches_photos_with_own_thresholds(client: Client, tmp_path: Path) -> None:
    photos = copy_examples(tmp_path)[:2]
    with launched(build_ui(client)) as address:
        visitor = PageClient(address, verbose=False)
        summary, gallery = visitor.predict(
            [handle_file(str(photo)) for photo in photos],
            "a cat",
            "own thresholds",
            *("similarity", 0.97, "never", 0.9, "confidence", 0.4, "deferred", 0),
            api_name="/search",
        )
    assert "2 embedded for this search" in summary
    captions = [one["caption"] for one in gallery["value"]]
    assert captions == [f"{rank}. cosine 1.000, 3 of 6 layers" for rank in (1, 2)]


async def test_page_names_what_a_photo_shows(client: Client, tmp_path: Path) -> None:
    photo = copy_examples(tmp_path)[0]
    with launched(build_ui(client)) as address:
        visitor = PageClient(address, verbose=False)
        words, layers, why, _ = visitor.predict(
            handle_file(str(photo)),
            "balanced",
            *("confidence", 0.6, "never", 0.9, "never", 0.9, "deferred", 0),
            api_name="/tags",
        )
    assert "cat, sofa" in words and "3 of 6 layers" in layers and "Left after layer 3" in why


async def test_every_public_event_has_a_name(client: Client) -> None:
    config = build_ui(client).get_config_file()
    public = {
        event["api_name"] for event in config["dependencies"] if event["api_visibility"] == "public"
    }
    assert public == {
        "caption",
        "entailment",
        "compare",
        "search",
        "tags",
        "explore",
        "explore_stop",
        "caption_explain_stop",
        "caption_open_trace",
        "entailment_explain_stop",
        "entailment_open_trace",
    }


async def test_photo_goes_to_the_service_as_it_was_uploaded(client: Client) -> None:
    blocks = build_ui(client).blocks.values()
    photos = [block for block in blocks if isinstance(block, gr.Image) and block.elem_id]
    sent = [photo.preprocess(gr.data_classes.ImageData(path="/a/photo.png")) for photo in photos]
    assert sent == ["/a/photo.png"] * 4
