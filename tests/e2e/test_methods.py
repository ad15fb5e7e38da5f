"""The Methods tab in a real browser: a point of the benchmark leads to its command."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

TIMEOUT_MS = 30_000
PHONE = {"width": 360, "height": 800}


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    """A fresh visitor on the tab."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    opened = context.new_page()
    opened.goto(page_url)
    opened.get_by_role("tab", name="Methods").click()
    yield opened
    context.close()


def test_pressed_point_shows_its_command(page: Page) -> None:
    points = page.locator("#methods-plot .js-plotly-plot .points path")
    points.first.wait_for(timeout=TIMEOUT_MS)
    points.nth(5).click(force=True)
    expect(page.locator("#methods-point")).to_contain_text(
        "python -m model_core sweep --task caption", timeout=TIMEOUT_MS
    )
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_another_task_is_drawn_and_reached_by_keyboard(page: Page) -> None:
    page.locator("#methods-task").get_by_text("tags", exact=True).click()
    expect(page.locator("#methods-points")).to_contain_text("heads of LGViT", timeout=TIMEOUT_MS)
    page.locator("#methods-points [data-number='3']").press("Enter")
    expect(page.locator("#methods-point")).to_contain_text(
        "python -m model_core tags", timeout=TIMEOUT_MS
    )
