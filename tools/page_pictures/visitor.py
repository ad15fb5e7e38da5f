"""The page as a visitor drives it: tabs, examples, settings, buttons, and looking at what is there.

Selectors of the page stand here and in ``scenes``; what fails is Playwright's error, which names
them.
"""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tools.page_pictures.images import picture_of

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS = 60_000
SETTLE_MS = 700  # plots are drawn after their data has come
PIXELS_PER_POINT = 1.5
MARGIN = 14
PHOTO = "#{}-photo .image-container img"


class BrowserMissingError(Exception):
    """There is no Chromium to drive."""


@dataclass(frozen=True)
class Window:
    """How a visitor sees the page.

    Attributes:
        width: In CSS pixels.
        height: In CSS pixels.
        theme: ``light`` or ``dark``.
    """

    width: int
    height: int = 1000
    theme: str = "light"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser.

    Raises:
        BrowserMissingError: No ``chromium`` on the path.
    """
    path = shutil.which("chromium")
    if path is None:
        raise BrowserMissingError("chromium is missing: install it with apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One visitor before one window.

    Attributes:
        page: Playwright's page, for what is not offered here.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def part(self, selector: str) -> Locator:
        """The first visible part of the page that a selector names."""
        return self.page.locator(selector).locator("visible=true").first

    def open_tab(self, name: str) -> None:
        """Choose a tab of the page."""
        self.page.get_by_role("tab", name=name, exact=True).first.click()
        self.page.wait_for_timeout(SETTLE_MS)

    def take_example(self, tab: str, number: int) -> None:
        """Take an example photo of the open tab and wait until it is on show."""
        earlier = [one.get_attribute("src") for one in self.page.locator(PHOTO.format(tab)).all()]
        self.page.locator("button.gallery-item").locator("visible=true").nth(number).click()
        self.page.wait_for_function(
            "([selector, earlier]) => { const photo = document.querySelector(selector);"
            " return photo?.complete && photo.getAttribute('src') !== earlier[0]; }",
            arg=[PHOTO.format(tab), earlier],
        )

    def choose_setting(self, name: str) -> None:
        """Choose a preset, or own thresholds, on the open tab."""
        self.part(f'.off-presets label:has-text("{name}:")').click()

    def choose_rule(self, site: str, kind: str, value: float) -> None:
        """Set one of the own thresholds."""
        self.part(f'[aria-label="{site}: rule"]').click()
        self.page.get_by_role("option", name=kind, exact=True).locator("visible=true").click()
        self.page.wait_for_timeout(2 * SETTLE_MS)  # the rule brings a first value of its own
        number = self.part(f'[aria-label^="number input for {site}:"]')
        number.fill(f"{value:g}")
        number.press("Tab")

    def answer(self, task: str) -> None:
        """Press the button of the open tab and wait for the whole answer."""
        facts = f"#{task}-answer .off-facts"
        earlier = self.page.locator(facts).all_inner_texts()
        self.page.locator(f"#{task}-run").click()
        self.page.wait_for_function(
            "([selector, earlier]) => { const facts = document.querySelector(selector);"
            " return facts && facts.innerText !== earlier[0]; }",
            arg=[facts, earlier],
        )
        self.page.wait_for_timeout(SETTLE_MS)

    def press_word(self, number: int) -> None:
        """Press the name of a caption's word in the exit picture: the page explains its stop."""
        self.page.locator("#caption-picture thead button").nth(number).click()
        self.page.wait_for_timeout(SETTLE_MS)

    def linked_file(self, words: str) -> bytes:
        """The file in a link that holds its content."""
        address = self.part(f'a:has-text("{words}")').get_attribute("href") or ""
        return base64.b64decode(address.partition(",")[2])

    def widen(self, width: int) -> None:
        """Make the window so wide; plots are drawn anew."""
        height = (self.page.viewport_size or {"height": 900})["height"]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_timeout(SETTLE_MS)

    def look_at(self, *selectors: str) -> Image.Image:
        """The smallest part of the page that holds all of these."""
        self.page.mouse.move(0, 0)
        self.page.wait_for_timeout(SETTLE_MS)
        boxes = [self.part(selector).bounding_box() for selector in selectors]
        found = [box for box in boxes if box]
        left = min(box["x"] for box in found) - MARGIN
        top = min(box["y"] for box in found) - MARGIN
        right = max(box["x"] + box["width"] for box in found) + MARGIN
        bottom = max(box["y"] + box["height"] for box in found) + MARGIN
        scrolled = float(self.page.evaluate("window.scrollY"))
        screenshot = self.page.screenshot(
            clip={
                "x": max(left, 0.0),
                "y": max(top + scrolled, 0.0),
                "width": right - max(left, 0.0),
                "height": bottom - top,
            },
            full_page=True,
            animations="disabled",
        )
        return picture_of(screenshot)

    def view(self) -> Image.Image:
        """What the window shows now."""
        return picture_of(self.page.screenshot(animations="disabled"))

    def read(self, *selectors: str) -> list[str]:
        """The lines of text that these parts show, each once; single words and rows left out."""
        text = "\n".join(self.part(selector).inner_text() for selector in selectors)
        return whole_lines(text)


def whole_lines(text: str) -> list[str]:
    """The different lines that have several words and are no row of a table."""
    lines = [line.strip() for line in text.splitlines()]
    return list(dict.fromkeys(line for line in lines if " " in line and "\t" not in line))


@contextmanager
def visit(browser: Browser, address: str, window: Window) -> Iterator[Visitor]:
    """A new visitor of the page, when the head says that the service answers."""
    context = browser.new_context(
        viewport={"width": window.width, "height": window.height},
        device_scale_factor=PIXELS_PER_POINT,
    )
    context.set_default_timeout(TIMEOUT_MS)
    try:
        page = context.new_page()
        page.goto(f"{address.rstrip('/')}/?__theme={window.theme}")
        page.locator("#service-status b").wait_for()
        yield Visitor(page)
    finally:
        context.close()
