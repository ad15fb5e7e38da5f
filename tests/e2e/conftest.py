"""Pages in processes of their own: before the session's real service, and before a canned one."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.app.fake_service import FakeService
from tests.e2e.page_process import page_process
from tests.serving import Served
from tools.page_pictures.visitor import CHROMIUM_FLAGS


@pytest.fixture(scope="session")
def api_url(served: Served) -> str:
    """The real service, on the tiny model."""
    return str(served.client.base_url).rstrip("/")


@pytest.fixture(scope="session")
def page_url(api_url: str) -> Iterator[str]:
    """The page before the real service."""
    with page_process(api_url) as address:
        yield address


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeService]:
    """A service of canned answers."""
    service = FakeService()
    service.start()
    yield service
    service.kill()


@pytest.fixture(scope="module")
def canned_url(fake: FakeService) -> Iterator[str]:
    """The page before canned answers."""
    with page_process(fake.url, OFFRAMP_MCP="true") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with its module: Playwright keeps an event loop running, which coroutine tests of
    other modules cannot share.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is missing: install it with `apt-get install -y chromium`")
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        yield instance
        instance.close()
