"""The page in a real browser: a photo goes in, the answer and its exit picture come out.

Playwright's ``expect`` is an assertion that waits until it holds, and fails when it never does.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from app.photos import copy_examples

pytestmark = pytest.mark.browser

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
ANSWER_TIMEOUT_MS = 30_000
DESKTOP = {"width": 1400, "height": 1000}
PHONE = {"width": 400, "height": 860}


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_examples(tmp_path_factory.mktemp("photos"))[0]


@pytest.fixture
def page(browser: Browser, page_url: str) -> Iterator[Page]:
    """A fresh visitor; at the end, nothing was asked of another host."""
    context = browser.new_context(viewport=DESKTOP)
    opened = context.new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(page_url)
    expect(opened.locator("#service-status")).to_contain_text("parameters")
    yield opened
    context.close()
    hosts = {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def ask(page: Page, task: str, photo: Path) -> None:
    """Upload the photo on the open tab and press its button."""
    page.locator(f"#{task}-photo input[type=file]").first.set_input_files(photo)
    page.locator(f"#{task}-photo img").first.wait_for()
    page.locator(f"#{task}-run").click()


def wait_for_plot(page: Page, task: str) -> None:
    """It is drawn after the last word, and moves what stands below it."""
    drawn = page.locator(f"#{task}-score .js-plotly-plot .scatterlayer")
    drawn.wait_for(timeout=ANSWER_TIMEOUT_MS)


def keep(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


def test_photo_gives_a_caption_and_its_exit_picture(page: Page, photo: Path) -> None:
    ask(page, "caption", photo)
    headline = page.locator("#caption-answer .off-headline")
    expect(headline).not_to_be_empty(timeout=ANSWER_TIMEOUT_MS)
    wait_for_plot(page, "caption")
    grid = page.locator("#caption-picture table.off-grid")
    words = grid.locator("thead button").count()
    layers = grid.locator("tbody tr").count()
    assert words >= 2
    assert grid.locator("td.off-cell").count() == words * layers
    keep(page, "page-caption")


def test_pressing_a_word_explains_why_it_stopped(page: Page, photo: Path) -> None:
    ask(page, "caption", photo)
    second = page.locator("#caption-picture thead button").nth(1)
    second.click(timeout=ANSWER_TIMEOUT_MS)
    expect(page.locator("#caption-site input")).to_have_value(f"Word 2: {second.inner_text()}")
    expect(page.locator("#caption-why")).to_contain_text("layer")


def test_saved_trace_opens_again(page: Page, photo: Path, tmp_path: Path) -> None:
    ask(page, "caption", photo)
    wait_for_plot(page, "caption")
    link = page.locator("a.off-save:visible", has_text="trace")
    with page.expect_download() as download:
        link.click()
    trace = tmp_path / "trace.json"
    download.value.save_as(trace)
    caption = page.locator("#caption-answer .off-headline").inner_text()
    page.reload()
    with page.expect_file_chooser() as chooser:
        page.locator("#caption-trace").click()
    chooser.value.set_files(trace)
    expect(page.locator("#caption-answer .off-headline")).to_have_text(caption)


def test_example_photo_is_one_press_away(page: Page) -> None:
    page.get_by_role("tabpanel").locator("button.gallery-item").first.click()
    page.locator("#caption-photo img").first.wait_for()
    page.locator("#caption-run").click()
    headline = page.locator("#caption-answer .off-headline")
    expect(headline).not_to_be_empty(timeout=ANSWER_TIMEOUT_MS)


def test_file_that_is_no_photo_gives_a_sentence_and_a_request_id(
    page: Page, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"this is no photo")
    page.locator("#caption-photo input[type=file]").first.set_input_files(broken)
    page.locator("#caption-photo img").first.wait_for(state="attached")
    page.locator("#caption-run").click()
    alert = page.locator("#caption-answer .off-error")
    expect(alert).to_contain_text("request", timeout=ANSWER_TIMEOUT_MS)
    assert "Traceback" not in page.content()


def test_sentence_is_judged(page: Page, photo: Path) -> None:
    page.get_by_role("tab", name="Entailment").click()
    page.get_by_label("Sentence to judge").first.fill("A cat looks into the camera.")
    ask(page, "entailment", photo)
    headline = page.locator("#entailment-answer .off-headline")
    expect(headline).not_to_be_empty(timeout=ANSWER_TIMEOUT_MS)
    wait_for_plot(page, "entailment")
    keep(page, "page-entailment")


def test_settings_stand_side_by_side(page: Page, photo: Path) -> None:
    page.get_by_role("tab", name="Compare").click()
    ask(page, "compare", photo)
    cards = page.locator("#compare-cards article")
    expect(cards).to_have_count(2, timeout=ANSWER_TIMEOUT_MS)
    page.locator("#compare-bars .js-plotly-plot .barlayer").first.wait_for()
    keep(page, "page-compare")


def test_page_fits_a_phone(page: Page, photo: Path) -> None:
    page.set_viewport_size(PHONE)
    ask(page, "caption", photo)
    expect(page.locator("#caption-picture table")).to_be_visible(timeout=ANSWER_TIMEOUT_MS)
    keep(page, "page-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
