"""The page's manners in a real browser, before canned answers.

Every tab at two widths in both themes: axe-core finds nothing serious, nothing is wider than the
window, nothing is asked of another host. Streams, failures and visitors are told apart. ``make
manners`` runs these alone; the pictures it leaves in ``artifacts`` are there to be looked at.
"""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from gradio_client import Client as PageClient
from gradio_client import handle_file
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from app.header import WATCH_S
from app.photos import copy_examples
from app.tabs.service import REFRESH_S
from tests.app.fake_service import REFUSED_PHOTO, FakeService

pytestmark = [pytest.mark.browser, pytest.mark.manners]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
WIDTHS = (360, 1600)
THEMES = ("light", "dark")
TABS = (
    "Caption",
    "Entailment",
    "Compare",
    "Search",
    "Tags",
    "Explore",
    "Methods",
    "Service",
)
TIMEOUT_MS = 20_000
SERIOUS = {"serious", "critical"}
NUM_VISITORS = 10
# Gradio draws all tabs, measures hidden copies of them, and moves what does not fit into a menu.
TABS_FIT = """() => {
  const bar = document.querySelector("[role=tablist]");
  if (!bar) return false;
  const copies = [...bar.parentElement.querySelectorAll(".visually-hidden button")];
  const needed = copies.reduce((sum, tab) => sum + tab.getBoundingClientRect().width, 0);
  const hasMenu = !bar.parentElement.querySelector(".overflow-menu").classList.contains("hide");
  return needed > 0 && hasMenu === (needed > bar.clientWidth);
}"""
# A plot is drawn anew after a change of width.
PLOTS_FIT = """() => [...document.querySelectorAll(".js-plotly-plot")]
  .filter((plot) => plot.offsetWidth)
  .every((plot) => {
    const drawn = plot.querySelector(".main-svg")?.getBoundingClientRect().width ?? 0;
    return Math.abs(drawn - plot.clientWidth) <= 1;
  })"""
WATCH_TIMEOUT_MS = 3_000 * WATCH_S  # the head looks at the service this often


@pytest.fixture(autouse=True)
def healed(fake: FakeService) -> Iterator[None]:
    """After a test that failed half-way the service answers again: one fault, one failure."""
    yield
    fake.go.set()
    if not fake.is_up:
        fake.start()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_examples(tmp_path_factory.mktemp("photos"))[0]


@pytest.fixture
def page(browser: Browser, canned_url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh visitor; at the end a picture is kept, and nothing was asked of another host."""
    context = browser.new_context(viewport={"width": WIDTHS[1], "height": 1000})
    opened = context.new_page()
    opened.set_default_timeout(TIMEOUT_MS)
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    visit(opened, canned_url)
    opened.on("console", lambda message: print(message.type, message.text))
    yield opened
    ARTIFACTS.mkdir(exist_ok=True)
    opened.screenshot(path=ARTIFACTS / f"{request.node.name}.png", full_page=True)
    context.close()
    hosts = {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))}
    assert hosts == {"127.0.0.1"}


def visit(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#service-status b")).to_be_visible(timeout=TIMEOUT_MS)


def open_tab(page: Page, name: str) -> None:
    """Choose a tab; on a narrow page it may stand in the menu of those that do not fit."""
    page.wait_for_function(TABS_FIT)
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.count():
        page.get_by_role("button", name="More tabs").click()
        page.locator(".overflow-dropdown button", has_text=name).click()
    else:
        tab.click()
    expect(tab).to_have_attribute("aria-selected", "true")


def give(page: Page, task: str, photo: Path) -> None:
    page.locator(f"#{task}-photo input[type=file]").first.set_input_files(photo)
    page.locator(f"#{task}-photo img").first.wait_for(state="attached")


def answer_everything(page: Page, photo: Path) -> None:
    """An answer on the tabs that have one."""
    give(page, "caption", photo)
    page.locator("#caption-run").click()
    page.locator("#caption-score .scatterlayer").wait_for()
    open_tab(page, "Entailment")
    page.get_by_label("Sentence to judge").first.fill("A cat looks into the camera.")
    give(page, "entailment", photo)
    page.locator("#entailment-run").click()
    page.locator("#entailment-score .scatterlayer").wait_for()
    open_tab(page, "Compare")
    give(page, "compare", photo)
    page.locator("#compare-run").click()
    page.locator("#compare-bars .barlayer").first.wait_for()
    open_tab(page, "Search")
    page.locator("#search-photos input[type=file]").first.set_input_files(photo)
    expect(page.locator("#search-photos")).to_contain_text(photo.stem)
    page.get_by_label("What to look for").fill("a cat")
    page.locator("#search-run").click()
    page.locator("#search-gallery img").first.wait_for()
    open_tab(page, "Tags")
    give(page, "tags", photo)
    page.locator("#tags-run").click()
    page.locator("#tags-score .scatterlayer").wait_for()
    open_tab(page, "Explore")
    page.locator("#explore-photos input[type=file]").first.set_input_files(photo)
    expect(page.locator("#explore-photos")).to_contain_text(photo.stem)
    page.locator("#explore-run").click()
    expect(page.locator("#explore-status")).to_contain_text("Done:")
    page.locator("#explore-points [data-number='1']").click()
    page.locator("#explore-answers table").wait_for()
    open_tab(page, "Methods")
    page.locator("#methods-points [data-number='1']").click()
    expect(page.locator("#methods-point")).to_contain_text("python -m")
    open_tab(page, "Service")
    page.locator("#service-figures .off-tiles").wait_for()


def serious_faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", THEMES)
def test_every_tab_is_readable_at_two_widths(
    page: Page, canned_url: str, photo: Path, theme: str
) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    visit(page, f"{canned_url}?__theme={theme}")
    answer_everything(page, photo)
    faults: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 1000})
        for tab in TABS:
            open_tab(page, tab)
            page.wait_for_function(PLOTS_FIT)
            page.screenshot(path=ARTIFACTS / f"{tab}-{width}-{theme}.png", full_page=True)
            faults += [f"{tab} {width} {theme} {fault}" for fault in serious_faults(page)]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append(f"{tab} is wider than {width}")
    assert faults == []


def test_first_word_is_shown_before_the_last_is_decided(
    page: Page, fake: FakeService, photo: Path
) -> None:
    fake.go.clear()
    give(page, "caption", photo)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-answer .off-headline")).to_have_text("a …")
    expect(page.locator("#caption-answer .off-word")).to_have_count(1)
    fake.go.set()
    expect(page.locator("#caption-answer .off-headline")).to_have_text(
        "a cat looks into the camera"
    )


def test_refused_photo_is_a_sentence_with_its_request(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(REFUSED_PHOTO)
    for tab, task in (("Caption", "caption"), ("Compare", "compare")):
        open_tab(page, tab)
        give(page, task, broken)
        page.locator(f"#{task}-run").click()
        alert = page.locator(f"#{task}-{'cards' if task == 'compare' else 'answer'} .off-error")
        expect(alert.first).to_contain_text("This file is no photo.")
        expect(alert.first).to_contain_text("req-refused")


def test_missing_input_is_a_sentence_on_every_tab(page: Page) -> None:
    for tab, place in (("Caption", "caption-answer"), ("Compare", "compare-cards")):
        open_tab(page, tab)
        page.locator(f"#{tab.lower()}-run").click()
        expect(page.locator(f"#{place} .off-error")).to_contain_text("There is no photo yet")


def test_service_killed_in_an_answer_is_said_and_heals_without_a_reload(
    page: Page, fake: FakeService, photo: Path
) -> None:
    fake.go.clear()
    give(page, "caption", photo)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-answer .off-headline")).to_have_text("a …")
    fake.kill()
    fake.go.set()
    expect(page.locator("#caption-answer .off-error")).to_contain_text("Try again")
    expect(page.locator("#service-status .off-error")).to_contain_text(
        "does not answer", timeout=WATCH_TIMEOUT_MS
    )
    fake.start()
    expect(page.locator("#service-status b")).to_be_visible(timeout=WATCH_TIMEOUT_MS)
    page.locator("#caption-run").click()
    expect(page.locator("#caption-answer .off-headline")).to_have_text(
        "a cat looks into the camera"
    )


def test_link_brings_the_settings_back(page: Page, canned_url: str, photo: Path) -> None:
    open_tab(page, "Compare")
    give(page, "compare", photo)
    page.locator("#compare-setting-3 input").click()
    page.get_by_role("option", name="fast").click()
    page.locator("#compare-run").click()
    link = page.locator("#compare-link a")
    link.wait_for()
    visit(page, f"{canned_url}{link.get_attribute('href')}")
    expect(page.locator("#compare-setting-3 input")).to_be_visible()
    expect(page.locator("#compare-setting-3 input")).to_have_value("fast")


def test_run_file_opens_while_the_service_is_down_and_is_compared(
    page: Page, fake: FakeService, photo: Path, tmp_path: Path
) -> None:
    open_tab(page, "Compare")
    give(page, "compare", photo)
    page.locator("#compare-run").click()
    page.locator("#compare-save").wait_for()
    with page.expect_download() as download:
        page.locator("#compare-save").click()
    run = tmp_path / "run.json"
    download.value.save_as(run)
    shown = page.locator("#compare-cards .off-compare")
    cards = shown.inner_text()
    visit(page, page.url)
    open_tab(page, "Compare")
    fake.kill()
    with page.expect_file_chooser() as chooser:
        page.locator("#compare-open").click()
    chooser.value.set_files(run)
    expect(page.locator("#compare-cards article")).to_have_count(2)
    assert shown.inner_text() == cards
    with page.expect_file_chooser() as chooser:
        page.locator("#compare-diff").click()
    chooser.value.set_files(run)
    expect(page.locator("#compare-difference table")).to_have_count(3)
    fake.start()


def test_keyboard_alone_gets_a_caption(page: Page, photo: Path) -> None:
    give(page, "caption", photo)
    page.locator("#caption-run").focus()
    page.keyboard.press("Enter")
    word = page.locator("#caption-picture thead button").nth(1)
    word.wait_for()
    word.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#caption-why")).to_contain_text("Left after layer 5 of 6")


def test_figures_of_the_service_are_asked_for_only_while_they_are_looked_at(
    page: Page, fake: FakeService
) -> None:
    before = fake.num_metrics_asked
    open_tab(page, "Service")
    expect(page.locator("#service-figures")).to_contain_text("3.25 of 6 layers")
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while fake.num_metrics_asked < before + 2 and time.monotonic() < deadline:
        page.wait_for_timeout(200)  # the second time is the timer's
    open_tab(page, "Caption")
    asked = fake.num_metrics_asked
    assert asked >= before + 2
    page.wait_for_timeout(2_500 * REFRESH_S)
    assert fake.num_metrics_asked <= asked + 1  # one may have been on its way


def test_ten_visitors_see_only_their_own_answers(canned_url: str, tmp_path: Path) -> None:
    def ask(number: int) -> tuple[str, str]:
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
        visitor = PageClient(canned_url, verbose=False)
        answer = visitor.predict(handle_file(str(path)), api_name="/caption")
        return answer["request_id"], hashlib.sha256(path.read_bytes()).hexdigest()[:8]

    with ThreadPoolExecutor(NUM_VISITORS) as pool:
        pairs = list(pool.map(ask, range(NUM_VISITORS)))
    assert [answered for answered, _ in pairs] == [f"req-{photo}" for _, photo in pairs]
    assert len({answered for answered, _ in pairs}) == NUM_VISITORS


def test_assistant_finds_the_calls_as_tools(canned_url: str) -> None:
    schema = httpx.get(f"{canned_url}gradio_api/mcp/schema", timeout=30).json()
    assert {"caption", "entailment", "compare"} <= {tool["name"] for tool in schema}
