"""Canned answers of the service, and clients that never touch the network."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import BaseModel

from app.client import Client
from serve.schemas import CaptionAnswer, CompareAnswer, EntailmentAnswer, PoliciesReport

CANNED = Path(__file__).parent / "canned"
ROUTES = {
    "/v1/caption": "caption",
    "/v1/entailment": "entailment",
    "/v1/compare": "compare",
    "/v1/embed": "embed",
    "/v1/tags": "tags",
    "/v1/model": "model",
    "/v1/policies": "policies",
    "/healthz": "health",
}
METRICS = (CANNED / "metrics.txt").read_text()
ANSWER = TypeVar("ANSWER", bound=BaseModel)
Handler = Callable[[httpx.Request], httpx.Response]
MakeClient = Callable[[Handler], Client]


def read(name: str, kind: type[ANSWER]) -> ANSWER:
    return kind.model_validate_json((CANNED / f"{name}.json").read_text())


def answer_canned(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/metrics":
        return httpx.Response(200, text=METRICS)
    content = (CANNED / f"{ROUTES[request.url.path]}.json").read_bytes()
    if request.content and json.loads(request.content).get("stream"):
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, content=as_events(json.loads(content)), headers=headers)
    return httpx.Response(200, content=content)


def as_events(document: dict[str, Any]) -> bytes:
    """The stream of an answer: a word at a time, then the whole."""
    words = document["trace"]["decoder"]["tokens"]
    tokens = [
        {"text": f"{' ' if index else ''}{word['text']}", "depth": word["depth"]}
        for index, word in enumerate(words)
    ]
    events = [("token", {"tokens": [token]}) for token in tokens]
    return b"".join(
        f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        for name, data in [*events, ("answer", document)]
    )


@pytest.fixture
def make_client() -> Iterator[MakeClient]:
    """Clients whose requests go to a handler; closed at the end."""
    with ExitStack() as stack:
        yield lambda handler: stack.enter_context(
            Client("http://service.test", "secret", transport=httpx.MockTransport(handler))
        )


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client(answer_canned)


@pytest.fixture
def down_client(make_client: MakeClient) -> Client:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    return make_client(refuse)


@pytest.fixture
def caption_answer() -> CaptionAnswer:
    return read("caption", CaptionAnswer)


@pytest.fixture
def full_answer() -> CaptionAnswer:
    return read("caption_full", CaptionAnswer)


@pytest.fixture
def entailment_answer() -> EntailmentAnswer:
    return read("entailment", EntailmentAnswer)


@pytest.fixture
def compare_answer() -> CompareAnswer:
    return read("compare", CompareAnswer)


@pytest.fixture
def policies() -> PoliciesReport:
    return read("policies", PoliciesReport)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG photo")
    return str(path)


OWN_VALUES = ("similarity", 0.97, "never", 0.9, "fixed_depth", 4, "copy_hidden", 0)


@pytest.fixture
def own_values() -> tuple[object, ...]:
    """Values of the own-threshold controls, in order."""
    return OWN_VALUES
