"""What is pictured: a walk through the page, in the order of ``docs/first-visit.md``.

Each scene goes on from where the one before has left the page. Beside every picture stands what the
page says in it, so that the documentation can quote it and a test can see that it still does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image
from playwright.sync_api import Browser

from app.asking import Words
from app.photos import EXAMPLE_PHOTOS
from app.pictures import arriving_html
from app.setting import FULL_DEPTH
from app.state import Shown, load_trace
from serve.schemas import StreamedToken
from tools.page_pictures.images import Frame, narrowed
from tools.page_pictures.visitor import Visitor, Window, visit

MOVING = "page"
STILLS = (
    "answer",
    "cost",
    "depths",
    "why",
    "compare",
    "time",
    "yaml-link",
    "explore",
    "explore-yaml",
    "phone-dark",
)
SUBJECTS = list(EXAMPLE_PHOTOS.values())
WARM_UP, SUBJECT = "rocket", "motorcycle"
DESKTOP, PHONE = Window(1180, 1000), Window(360, 1000, "dark")
WIDE = 1320  # the grid of a long caption fits
PHONE_PRESET = "fast"
PLAIN_WORD, WHY_WORD = 2, 2  # of the captions under the preset and under own thresholds
OWN = (("image", "similarity", 0.85), ("decoder", "similarity", 0.95))
STILL_WIDTH = 1240
SWEPT_SETTING = 6
SWEEP_TIMEOUT_MS = 180_000
WAITING_MS, WORD_MS, END_MS = 900, 260, 5000

HIDE_DETAILS_JS = """() => {
  document.querySelector('.off-links').style.visibility = 'hidden';
  document.querySelector('#caption-picture').closest('.column').style.display = 'none';
}"""
REPLACE_JS = "(element, markup) => { element.outerHTML = markup; }"


@dataclass(frozen=True)
class Picture:
    """A picture and what the page says in it.

    Attributes:
        name: Of its file, without the ending.
        frames: One, or several when it moves.
        said: The page's own lines.
    """

    name: str
    frames: tuple[Frame, ...]
    said: tuple[str, ...]


def still(name: str, image: Image.Image, said: Sequence[str]) -> Picture:
    """A picture that does not move."""
    return Picture(name, (Frame(narrowed(image, STILL_WIDTH), 0),), tuple(said))


def take_pictures(browser: Browser, address: str) -> Iterator[Picture]:
    """All pictures of the page at an address, as they are taken."""
    with visit(browser, address, DESKTOP) as visitor:
        for scene in (show_answer, show_depths, show_moving, show_comparison, show_sweep):
            yield from scene(visitor)
    with visit(browser, address, PHONE) as visitor:
        yield from show_phone(visitor)


def show_answer(visitor: Visitor) -> Iterator[Picture]:
    """A caption under the service's own setting: layers, cost, and the link to its YAML."""
    visitor.take_example("caption", SUBJECTS.index(WARM_UP))
    visitor.answer("caption")  # the first answer of a new service is a slow one
    visitor.take_example("caption", SUBJECTS.index(SUBJECT))
    visitor.answer("caption")
    visitor.press_word(PLAIN_WORD)
    parts = ("#caption-photo", "#caption-answer", "#caption-picture")
    yield still("answer", visitor.look_at(*parts), visitor.read(*parts, "#caption-why"))
    yield looked_at(visitor, "cost", "#caption-cost")
    yield looked_at(visitor, "yaml-link", ".off-links", "#caption-trace")
    visitor.choose_setting(FULL_DEPTH)
    visitor.answer("caption")  # alone, so that the comparison has times that nothing else slowed


def show_depths(visitor: Visitor) -> Iterator[Picture]:
    """The same photo under own thresholds: every word at its own depth, one of them explained."""
    visitor.widen(WIDE)
    visitor.choose_setting("own thresholds")
    for site, kind, value in OWN:
        visitor.choose_rule(site, kind, value)
    visitor.answer("caption")
    yield looked_at(visitor, "depths", "#caption-answer", "#caption-picture")
    visitor.press_word(WHY_WORD)
    yield looked_at(visitor, "why", "#caption-explain")


def show_moving(visitor: Visitor) -> Iterator[Picture]:
    """The answer on show, word by word as the page draws words that arrive, then as it is.

    They arrive too fast for one screenshot each, so the page's own markup of each moment is put in.
    """
    shown = load_trace(visitor.linked_file("Save this trace as JSON"))
    words = streamed_words(shown)
    visitor.page.evaluate("window.scrollTo(0, 0)")
    whole = view(visitor)
    visitor.page.evaluate(HIDE_DETAILS_JS)
    frames = []
    for count in range(len(words) + 1):
        markup = arriving_html(words[:count], shown.trace.decoder.num_layers)
        visitor.part("#caption-answer .off-answer").evaluate(REPLACE_JS, markup)
        frames.append(Frame(view(visitor), WORD_MS if count else WAITING_MS))
    yield Picture(MOVING, (*frames, Frame(whole, END_MS)), ())


def streamed_words(shown: Shown) -> Words:
    """The tokens of an answer as they came: each with what it added to the caption."""
    caption, start = shown.headline, 0
    words = []
    for token in shown.trace.decoder.tokens:
        end = caption.index(token.text.strip(), start) + len(token.text.strip())
        words.append(StreamedToken(text=caption[start:end], depth=token.depth))
        start = end
    return tuple(words)


def show_comparison(visitor: Visitor) -> Iterator[Picture]:
    """Full depth and the service's own setting side by side."""
    visitor.widen(DESKTOP.width)
    visitor.page.reload()
    visitor.open_tab("Compare")
    visitor.take_example("compare", SUBJECTS.index(SUBJECT))
    visitor.page.locator("#compare-run").click()
    visitor.page.locator("#compare-bars .barlayer").first.wait_for()
    yield looked_at(
        visitor, "compare", "#compare-cards .off-agreement", "#compare-cards .off-compare"
    )
    meters = [f"#compare-cards article:nth-of-type({number}) .off-meters" for number in (1, 2)]
    yield looked_at(visitor, "time", *meters, "#compare-bars")


def show_sweep(visitor: Visitor) -> Iterator[Picture]:
    """Settings swept over the example photos, and one of them as a policy."""
    visitor.open_tab("Explore")
    visitor.part('button:has-text("Take the example photos")').click()
    visitor.page.locator("#explore-photos", has_text=SUBJECTS[-1]).wait_for()
    visitor.page.locator("#explore-run").click()
    done = visitor.page.locator("#explore-status", has_text="Done:")
    done.wait_for(timeout=SWEEP_TIMEOUT_MS)
    visitor.page.locator("#explore-points [data-number]").nth(SWEPT_SETTING).press("Enter")
    visitor.page.locator("#explore-answers .off-yaml").wait_for()
    yield looked_at(visitor, "explore", "#explore-status", "#explore-plot")
    yield looked_at(visitor, "explore-yaml", '#explore-answers [aria-label="Policy"]')


def show_phone(visitor: Visitor) -> Iterator[Picture]:
    """A narrow, dark window."""
    visitor.take_example("caption", SUBJECTS.index(SUBJECT))
    visitor.choose_setting(PHONE_PRESET)
    visitor.answer("caption")
    yield looked_at(visitor, "phone-dark", "#caption-answer", "#caption-picture")


def looked_at(visitor: Visitor, name: str, *selectors: str) -> Picture:
    """A still of some parts of the page, with what they say."""
    return still(name, visitor.look_at(*selectors), visitor.read(*selectors))


def view(visitor: Visitor) -> Image.Image:
    """What the window shows, one pixel per CSS pixel."""
    return narrowed(visitor.view(), WIDE)
