"""What one visitor is looking at: an answer that came from the service or from a file.

The value lives in ``gr.State``, one per session. Also owns the trace file: an answer saved as JSON,
which is exactly the service's answer, and which can be opened again without the service.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import InputError
from app.links import file_link_html
from serve.schemas import (
    AnswerBase,
    CacheState,
    ExitTrace,
    ModelName,
    PolicyInForce,
)

SUPPORTED_SCHEMA_VERSION = 1
MAX_TRACE_BYTES = 1 << 20


class Shown(BaseModel):
    """An answer as the page shows it; what a bare trace does not say is None."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    trace: ExitTrace
    caption: str | None = None
    label: str | None = None
    probabilities: dict[str, float] | None = None
    policy: PolicyInForce | None = None
    cache: CacheState | None = None
    model: ModelName | None = None
    request_id: str | None = None

    @property
    def headline(self) -> str:
        """The caption or the label; a bare trace's words otherwise."""
        words = (token.text.strip() for token in self.trace.decoder.tokens)
        return self.caption or self.label or " ".join(word for word in words if word)


def shown_from(answer: AnswerBase) -> Shown:
    """What the page shows of an answer of the service."""
    return Shown.model_validate(answer.model_dump())


def dump_trace(shown: Shown) -> str:
    """The JSON text of a trace file."""
    return shown.model_dump_json(indent=2)


def save_link_html(shown: Shown) -> str:
    """A link that saves the trace file; the file is inside the link, none stays on the server."""
    name = f"offramp-{shown.request_id or 'trace'}.json"
    return file_link_html(
        "Save this trace as JSON", name, "application/json", dump_trace(shown).encode()
    )


def load_trace(content: bytes) -> Shown:
    """The answer in a trace file: a whole answer, or its bare trace.

    Raises:
        InputError: The content is too large, not JSON, of another version, or no trace.
    """
    document = read_json(content)
    document = document if "trace" in document else {"trace": document}
    trace = document["trace"]
    version = trace.get("schema_version") if isinstance(trace, dict) else None
    if version is None:
        raise InputError("This file holds no exit trace: `schema_version` is missing.")
    if version != SUPPORTED_SCHEMA_VERSION:
        raise InputError(
            f"This trace is of schema version {version}; this page opens version "
            f"{SUPPORTED_SCHEMA_VERSION}. Save it again with a matching Offramp."
        )
    try:
        return Shown.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"This trace is damaged at `{place}`: {first['msg']}.") from error


def read_json(content: bytes, limit: int = MAX_TRACE_BYTES, kind: str = "trace") -> dict[str, Any]:
    """The JSON object in ``content``, which should be a file of some ``kind``.

    Raises:
        InputError: Too large, not JSON, or not an object.
    """
    if len(content) > limit:
        raise InputError(f"This file has {len(content)} bytes; a {kind} has at most {limit}.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"This file is not JSON. Choose a {kind} saved by this page.") from error
    if not isinstance(document, dict):
        raise InputError(f"This file is JSON, but not a {kind} saved by this page.")
    return document
