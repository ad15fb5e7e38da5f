"""A page in a process of its own, before the session's real service."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.serving import Served, free_port

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="session")
def api_url(served: Served) -> str:
    """The real service, on the tiny model."""
    return str(served.client.base_url).rstrip("/")


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
