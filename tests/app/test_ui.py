"""The page as a whole: built, launched, and asked through its own API.

The tests are coroutines because Gradio, built where no event loop runs, makes loops of its own and
never closes them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import httpx
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


async def test_programs_ask_for_a_caption_and_a_comparison(client: Client, tmp_path: Path) -> None:
    photo = handle_file(str(copy_examples(tmp_path)[0]))
    with launched(build_ui(client)) as address:
        visitor = PageClient(address, verbose=False)
        answer = visitor.predict(photo, "balanced", api_name="/caption")
        compared = visitor.predict(photo, ["full", "balanced"], api_name="/compare")
        refused = visitor.predict(photo, ["full"], api_name="/compare")
        judged = visitor.predict(photo, "A cat.", api_name="/entailment")
    assert answer["caption"] == "a cat looks into the camera"
    assert compared["is_same"] == [True, False]
    assert refused["error"] == "1 settings are named; name two to four."
    assert judged["label"] == "entailment"


async def test_program_gets_no_other_file_of_this_machine(client: Client, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    with launched(build_ui(client)) as address:
        body = {"data": [{"path": str(secret)}, "full"]}
        started = httpx.post(f"{address}gradio_api/call/caption", json=body, timeout=10)
        event = started.json()["event_id"]
        said = httpx.get(f"{address}gradio_api/call/caption/{event}", timeout=10).text
    assert "There is no such upload" in said


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
        "methods",
        "service_figures",
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
