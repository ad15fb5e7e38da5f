"""Starts the page's web server with what Gradio 6 wants there: look, limits, no outside calls."""

import gradio as gr

from app.page_script import HEAD
from app.theme import CSS, build_theme


def launch_page(
    page: gr.Blocks, host: str, port: int | None, max_upload_mib: int, has_mcp: bool = False
) -> str:
    """Serve ``page`` from a thread and return its address.

    Args:
        page: From `app.ui.build_ui`.
        host: Address to listen on.
        port: Port; None takes a free one.
        max_upload_mib: Largest file a visitor may send.
        has_mcp: Whether the page's public calls are MCP tools, too.

    Raises:
        OSError: The port is taken.
    """
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        theme=build_theme(),
        css=CSS,
        head=HEAD,
        max_file_size=f"{max_upload_mib}mb",
        footer_links=["api"],
        mcp_server=has_mcp,
    )
    return address
