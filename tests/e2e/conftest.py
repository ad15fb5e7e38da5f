"""A page in a process of its own, before a service.

``api_url`` is the service the page talks to. Here it is a small stand-in with canned answers.
"""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from playwright.sync_api import Browser, sync_playwright

from serve.schemas import (
    CaptionRequest,
    CompareRequest,
    EntailmentRequest,
    ErrorAnswer,
    ErrorDetail,
)

ROOT = Path(__file__).parents[2]
CANNED = ROOT / "tests/app/canned"
PHOTO_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")
START_TIMEOUT_S = 60
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def canned(name: str) -> JSONResponse:
    return JSONResponse(json.loads((CANNED / f"{name}.json").read_text()))


def answer(name: str, image: str) -> JSONResponse:
    """The canned answer, or a refusal where the image is none."""
    if base64.b64decode(image).startswith(PHOTO_STARTS):
        return canned(name)
    detail = ErrorDetail(
        code="not_an_image", message="The file is not an image.", request_id="req-refused"
    )
    return JSONResponse(ErrorAnswer(error=detail).model_dump(), status_code=422)


def build_stand_in() -> FastAPI:
    """The service's routes with canned answers."""
    api = FastAPI()
    for path, name in {
        "/v1/model": "model",
        "/v1/policies": "policies",
        "/healthz": "health",
    }.items():
        api.add_api_route(path, lambda name=name: canned(name), response_class=JSONResponse)

    @api.post("/v1/caption")
    def caption(request: CaptionRequest) -> JSONResponse:
        return answer("caption_full" if request.policy == "full" else "caption", request.image)

    @api.post("/v1/entailment")
    def entailment(request: EntailmentRequest) -> JSONResponse:
        return answer("entailment", request.image)

    @api.post("/v1/compare")
    def compare(request: CompareRequest) -> JSONResponse:
        return answer("compare", request.image)

    return api


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    port = free_port()
    config = uvicorn.Config(build_stand_in(), host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def page_url(api_url: str) -> Iterator[str]:
    """The page as ``python -m app`` starts it; it must stop cleanly when told to."""
    environment = {**os.environ, "OFFRAMP_API_URL": api_url, "OFFRAMP_PORT": str(free_port())}
    command = [sys.executable, "-m", "app"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    assert line.startswith("Offramp page: "), f"the page did not start: {line!r}"
    yield line.split()[2]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with its module: Playwright keeps an event loop running, which coroutine tests of
    other modules cannot share.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is missing: install it with `apt-get install -y chromium`")
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield instance
        instance.close()
