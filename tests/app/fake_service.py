"""A service without a model: canned answers over real HTTP, that can be killed and brought back.

Every answer repeats the photo's hash in its request id, so that a test can tell whose answer a
visitor sees. Streams arrive word by word; ``hold`` keeps them back until the test lets go.
"""

import base64
import hashlib
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from serve.cluster.ports import free_port
from tests.app.conftest import CANNED, as_events

FULL = "full"
REFUSED_PHOTO = b"this is no photo"


def canned(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CANNED / f"{name}.json").read_text())
    return document


def photo_mark(image: str) -> str:
    """What the request id of an answer to this photo ends with."""
    content = base64.b64decode(image.rpartition(",")[2])
    return hashlib.sha256(content).hexdigest()[:8]


class FakeService:
    """Runs in a thread of the test; always on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.go = threading.Event()
        self.go.set()
        self.num_metrics_asked = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_up(self) -> bool:
        """True between ``start`` and ``kill``."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Answer from now on."""
        config = uvicorn.Config(
            self.build(), "127.0.0.1", self.port, log_level="error", lifespan="off", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.02)
            assert self._thread.is_alive(), "the fake service did not start"

    def kill(self) -> None:
        """Break every connection at once, answers under way included."""
        assert self._server is not None
        assert self._thread is not None
        for connection in list(self._server.server_state.connections):
            connection.loop.call_soon_threadsafe(connection.transport.abort)
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def build(self) -> Starlette:
        """The application."""
        reports = {"/v1/model": "model", "/v1/policies": "policies", "/healthz": "health"}
        gets = [Route(path, self.report(name)) for path, name in reports.items()]
        names = ("caption", "entailment", "compare", "embed", "tags")
        posts = [Route(f"/v1/{name}", self.answer(name), methods=["POST"]) for name in names]
        return Starlette(routes=[*gets, *posts, Route("/metrics", self.metrics)])

    async def metrics(self, request: Request) -> Response:
        self.num_metrics_asked += 1
        return PlainTextResponse((CANNED / "metrics.txt").read_text())

    def report(self, name: str) -> Any:
        async def give(request: Request) -> Response:
            return JSONResponse(canned(name))

        return give

    def answer(self, name: str) -> Any:
        async def give(request: Request) -> Response:
            body = json.loads(await request.body())
            if base64.b64decode(body.get("image") or "").startswith(REFUSED_PHOTO):
                error = {"code": "invalid_input", "message": "This file is no photo."}
                return JSONResponse({"error": {**error, "request_id": "req-refused"}}, 422)
            policy = body.get("policy")
            document = canned("caption_full" if name == "caption" and policy == FULL else name)
            if body.get("image") and name != "compare":
                document["request_id"] = f"req-{photo_mark(body['image'])}"
            if body.get("stream"):
                return StreamingResponse(self.events(document), media_type="text/event-stream")
            await self.wait()
            return JSONResponse(document)

        return give

    async def events(self, document: dict[str, Any]) -> AsyncIterator[bytes]:
        """Event by event, the first at once and the others when the test lets go."""
        for event in as_events(document).split(b"\n\n")[:-1]:
            yield event + b"\n\n"
            await self.wait()

    async def wait(self) -> None:
        """Until the test lets go."""
        while not self.go.is_set():
            await anyio.sleep(0.02)
