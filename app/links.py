"""Files as links that hold their content: nothing of a visitor's stays on the server."""

import base64
from html import escape


def file_link_html(words: str, name: str, media_type: str, content: bytes) -> str:
    """A link that saves ``content`` under ``name``."""
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<a class="off-save" download="{escape(name, quote=True)}" '
        f'href="data:{media_type};base64,{data}">{escape(words)}</a>'
    )
