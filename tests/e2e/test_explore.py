"""The Explore tab in a real browser: photos go in, points, answers and a policy come out."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from app.photos import copy_examples
from tests.serving import Served

pytestmark = pytest.mark.browser

TIMEOUT_MS = 30_000
PHONE = {"width": 360, "height": 800}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return copy_examples(tmp_path_factory.mktemp("sweep"))[:3]


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    """A fresh visitor on the tab."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    opened = context.new_page()
    opened.goto(page_url)
    opened.get_by_role("tab", name="Explore").click()
    yield opened
    context.close()


def sweep(page: Page, photos: list[Path]) -> None:
    page.locator("#explore-photos input[type=file]").first.set_input_files(photos)
    expect(page.locator("#explore-photos")).to_contain_text(photos[-1].stem)
    page.locator("#explore-run").click()


def test_point_shows_its_answers_and_a_policy_that_the_service_takes(
    page: Page, photos: list[Path], served: Served
) -> None:
    sweep(page, photos)
    expect(page.locator("#explore-status")).to_contain_text("Done:", timeout=TIMEOUT_MS)
    points = page.locator("#explore-plot .js-plotly-plot .points path")
    points.first.click(force=True, timeout=TIMEOUT_MS)
    rows = page.locator("#explore-answers table.off-answers tbody tr")
    expect(rows).to_have_count(len(photos), timeout=TIMEOUT_MS)
    link = page.get_by_role("link", name="Save this setting as YAML").get_attribute("href")
    assert link is not None
    rules = yaml.safe_load(base64.b64decode(link.split(",")[1]))["tasks"]["caption"]
    image = base64.b64encode(photos[0].read_bytes()).decode()
    answer = served.client.post("/v1/caption", json={"image": image, "policy": rules})
    assert answer.status_code == 200
    in_force = answer.json()["policy"]["rules"]["decoder"]
    assert {name: in_force[name] for name in rules["decoder"]} == rules["decoder"]


def test_setting_of_the_table_is_reached_by_keyboard(page: Page, photos: list[Path]) -> None:
    sweep(page, photos[:1])
    expect(page.locator("#explore-status")).to_contain_text("Done:", timeout=TIMEOUT_MS)
    page.locator("#explore-points [data-number='0']").press("Enter")
    expect(page.locator("#explore-answers")).to_contain_text(
        "Answers: full depth", timeout=TIMEOUT_MS
    )
    expect(page.locator("#explore-points tr[aria-current]")).to_contain_text("full depth")


def test_sweep_without_photos_is_a_sentence_and_the_tab_fits_a_phone(page: Page) -> None:
    page.locator("#explore-run").click()
    alert = page.locator("#explore-status .off-error")
    expect(alert).to_contain_text("There are no photos yet", timeout=TIMEOUT_MS)
    expect(page.locator("#explore-run")).to_be_enabled()
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
