"""The colours of the page: one scale for depth, used by every picture, and one for stages.

Owns colours and the symbols that go with them (colour never speaks alone). Every text colour is
chosen here by contrast, so that text on any depth meets WCAG AA.
"""

from dataclasses import dataclass

# From shallow (little work) to deep: light green over blue to violet.
DEPTH_ANCHORS = ("#c9efd3", "#6cc9b4", "#2f93ad", "#3a5fa8", "#45307f")
STAGE_COLORS = {
    "preprocess": "#8a8f98",
    "stem": "#d08a2e",
    "encode": "#2f93ad",
    "decode": "#45307f",
}
SCORE_COLOR = "#2f93ad"
THRESHOLD_COLOR = "#c2410c"
RUN_COLOR = "#2f93ad"
FULL_COLOR = "#b4bac4"
# Settings in a plot of quality against cost; each also has a symbol of its own.
SWEPT_COLOR = "#2f93ad"
FIXED_COLOR = "#8b6cc9"
FULL_POINT_COLOR = "#c2410c"
METHOD_COLORS = (
    "#2f93ad",
    "#d08a2e",
    "#3f9b5b",
    "#c0508f",
    "#5b7bd5",
    "#a0763c",
    "#7b8794",
    "#b8a11c",
)
BLACK = "#000000"
WHITE = "#ffffff"


@dataclass(frozen=True)
class Swatch:
    """A background and the text colour that is readable on it."""

    background: str
    text: str


def depth_swatch(depth: int, num_layers: int) -> Swatch:
    """The colour of ``depth`` (1..num_layers); a deeper one is darker."""
    fraction = (depth - 1) / (num_layers - 1) if num_layers > 1 else 0.0
    background = blend(DEPTH_ANCHORS, min(max(fraction, 0.0), 1.0))
    return Swatch(background, readable_on(background))


def blend(anchors: tuple[str, ...], fraction: float) -> str:
    """The colour at ``fraction`` (0..1) along the anchors."""
    place = fraction * (len(anchors) - 1)
    start = min(int(place), len(anchors) - 2)
    weight = place - start
    pairs = zip(channels(anchors[start]), channels(anchors[start + 1]), strict=True)
    return "#" + "".join(f"{round(low + (high - low) * weight):02x}" for low, high in pairs)


def channels(color: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#rrggbb``, 0..255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def readable_on(background: str) -> str:
    """Black or white, whichever has more contrast."""
    return max((BLACK, WHITE), key=lambda text: contrast_ratio(text, background))


def contrast_ratio(first: str, second: str) -> float:
    """WCAG 2 contrast of two colours, 1..21."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    """WCAG 2 relative luminance, 0..1."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in channels(color))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
