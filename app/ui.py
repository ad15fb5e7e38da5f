"""The page: the head with the state of the service, and the tabs.

``build_ui`` makes the Gradio blocks for one client; nothing here reads settings or starts a server.
"""

from pathlib import Path

import gradio as gr

from app.client import Client
from app.controls import fetch_policies
from app.endpoints import Endpoints
from app.header import TITLE, build_header, wire_header
from app.tabs import caption, compare, entailment, explore, methods, search, service, tags

MAX_CONCURRENT_EVENTS = 16
# Uploads and run files of visitors are deleted when they are a day old.
SWEEP_S, KEEP_S = 3600, 24 * 3600


def build_ui(client: Client, examples: list[Path] | None = None) -> gr.Blocks:
    """The page.

    Args:
        client: Of the service; asked once for its presets, which may fail.
        examples: Photos offered below each photo input.
    """
    report, photos = fetch_policies(client), examples or []
    page = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(SWEEP_S, KEEP_S))
    with page:
        header = build_header()
        with gr.Tabs() as selected:
            with gr.Tab("Caption", id=caption.TASK):
                captions = caption.build_tab(client, report, photos)
            with gr.Tab("Entailment", id=entailment.TASK):
                labels = entailment.build_tab(client, report, photos)
            with gr.Tab("Compare", id="compare"):
                comparison = compare.build_tab(client, report, photos)
            with gr.Tab("Search", id="search"):
                searches = search.build_tab(client, report, photos)
            with gr.Tab("Tags", id=tags.TASK):
                words = tags.build_tab(client, report, photos)
            with gr.Tab("Explore", id="explore"):
                explore.build_tab(client, report, photos)
            with gr.Tab("Methods", id="methods"):
                methods.build_tab()
            with gr.Tab(service.TAB_LABEL, id=service.TAB) as service_tab:
                figures = service.build_tab(client)
        figures.wire(selected, service_tab)
        Endpoints(client).add()
        tabs = (captions, labels, searches, words)
        followers = [comparison.follower, *(one.follower for one in tabs)]
        loaded = wire_header(header, page, client, followers)
        comparison.restore_after(loaded, selected)
    page.queue(default_concurrency_limit=MAX_CONCURRENT_EVENTS)
    return page
