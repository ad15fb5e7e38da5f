"""Named calls for programs: a caption, a label, a comparison, without the page's components.

They are the public calls of the page at ``/gradio_api`` and, where it is switched on, the tools of
its MCP server, so that an assistant can caption. Their docstrings are what an assistant reads.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api
from gradio.utils import get_upload_folder
from pydantic import BaseModel

from app.client import Client, encode_photo
from app.errors import InputError
from app.panel import run_event
from serve.schemas import CaptionRequest, CompareRequest, EntailmentRequest

Reply = dict[str, Any]


class Endpoints:
    """The calls of one page; what fails is answered with a sentence and the id to quote."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def add(self) -> None:
        """Put the calls into the page under construction."""
        api(self.caption, api_name="caption")
        api(self.entailment, api_name="entailment")
        api(self.compare, api_name="compare")

    def caption(self, photo: gr.FileData, setting: str = "") -> Reply:
        """Describe a photo, and tell which layers of the model ran for it and what that saved.

        Args:
            photo: A JPEG, PNG, WebP, BMP or GIF file.
            setting: Name of a preset: how early the model may stop. Empty: the service's default.
        """

        def ask() -> BaseModel:
            request = CaptionRequest(image=encoded(photo), policy=setting or None)
            return self._client.caption(request)

        return replied(ask)

    def entailment(self, photo: gr.FileData, hypothesis: str, setting: str = "") -> Reply:
        """Tell whether a photo shows what a sentence says: entailment, neutral or contradiction.

        Args:
            photo: A JPEG, PNG, WebP, BMP or GIF file.
            hypothesis: The sentence to judge.
            setting: Name of a preset: how early the model may stop. Empty: the service's default.
        """

        def ask() -> BaseModel:
            image, policy = encoded(photo), setting or None
            request = EntailmentRequest(image=image, hypothesis=hypothesis, policy=policy)
            return self._client.entailment(request)

        return replied(ask)

    def compare(self, photo: gr.FileData, settings: list[str]) -> Reply:
        """Describe a photo under several settings, and tell which answers are the first one's.

        Args:
            photo: A JPEG, PNG, WebP, BMP or GIF file.
            settings: Names of two to four presets.
        """

        def ask() -> BaseModel:
            if not 2 <= len(settings) <= 4:
                raise InputError(f"{len(settings)} settings are named; name two to four.")
            request = CompareRequest(image=encoded(photo), policies=list(settings))
            return self._client.compare(request)

        return replied(ask)


def replied(ask: Callable[[], BaseModel]) -> Reply:
    """The answer as plain values, or an ``error`` in its place."""

    def failure(message: str, request_id: str | None) -> Reply:
        return {"error": message, "request_id": request_id}

    return run_event(lambda: ask().model_dump(mode="json", exclude_none=True), failure)


def encoded(photo: object) -> str:
    """The photo as a request carries it, given Gradio's description of the upload.

    Raises:
        InputError: It is no file that was uploaded to this page.
    """
    path = Path(str(photo.get("path") if isinstance(photo, Mapping) else photo)).resolve()
    # A caller may name any path of this machine; only what Gradio has stored itself is read.
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise InputError("There is no such upload: upload the photo first, then name it.")
    return encode_photo(path)
