"""Traces drawn as HTML: the exit picture, the coloured answer, savings in words.

HTML because it reflows on a phone, reads aloud in a screen reader (tables with headings, words
beside every colour) and follows the page's light and dark colours. Pure: values in, markup out; all
text that came from outside is escaped here. The classes are styled in ``theme``.
"""

from html import escape

from app.asking import Words
from app.exits import (
    TOKEN_SITE,
    CellState,
    ExitGrid,
    exit_grid,
    modality_words,
    saved_fraction,
    stage_ms,
    token_label,
    total_ms,
)
from app.palette import STAGE_COLORS, Swatch, depth_swatch
from app.state import Shown
from serve.schemas import Cost, DecoderTrace, ExitTrace, ModalityTrace

SYMBOLS = {CellState.RAN: "●", CellState.CAUGHT_UP: "◐", CellState.NEVER: "·"}
CSS_CLASSES = {
    CellState.RAN: "off-ran",
    CellState.CAUGHT_UP: "off-caught-up",
    CellState.NEVER: "off-never",
}
MAX_WORDS_ACROSS = 9  # of a grid whose words are written across; those of more stand upright
WAITING = '<p class="off-headline off-waiting" role="status">computing …</p>'
COST_NOTES = (
    "<dl><dt>Layers</dt><dd>The steps of the model, one after the other; a full run does all of "
    "them. Counted as in the MuE paper: mean of the two encoder depths plus mean depth of the "
    "words.</dd><dt>FLOPs</dt><dd>Multiplications and additions, catching up included; a GFLOP is "
    "a thousand million of them.</dd><dt>Milliseconds</dt><dd>Measured on the machine of the "
    "service. <i>preprocess</i>: reading the photo. <i>stem</i>: the first look at it, which "
    "nothing can skip. <i>encode</i>: layers of photo and text. <i>decode</i>: layers of the "
    "words.</dd></dl>"
)
CACHE_WORDS = {
    "miss": "computed now",
    "hit": "from the result cache",
    "coalesced": "shared with an identical request under way",
    "off": "computed now, result cache off",
}


def answer_html(shown: Shown) -> str:
    """The answer in large letters, its words coloured by depth, and what stands behind it."""
    return f'<section class="off-answer" aria-label="Answer">{answer_parts_html(shown)}</section>'


def answer_parts_html(shown: Shown, changed: frozenset[int] = frozenset()) -> str:
    """Headline, words with the ``changed`` ones marked, and facts."""
    return (
        f'<p class="off-headline">{escape(shown.headline)}</p>'
        f'<p class="off-words">{words_html(shown.trace.decoder, changed)}</p>'
        f'<p class="off-facts">{facts_html(shown)}</p>'
    )


def words_html(decoder: DecoderTrace, changed: frozenset[int] = frozenset()) -> str:
    """The words as chips coloured by depth, the depth beside each; ``changed`` ones are marked."""
    chips = []
    for index, token in enumerate(decoder.tokens):
        mark = " off-changed" if index in changed else ""
        hint = f"decided after {token.depth} of {decoder.num_layers} layers"
        chips.append(
            f'<span class="off-word{mark}" style="{style(swatch(token.depth, decoder))}" '
            f'title="{hint}">{escape(token_label(token))}<sub>{token.depth}</sub>'
            f"{sr(f', {hint}' + (', differs' if mark else ''))}</span>"
        )
    return " ".join(chips)


def arriving_html(words: Words, num_layers: int) -> str:
    """An answer under way."""
    body = arriving_words_html(words, num_layers) if words else WAITING
    return f'<section class="off-answer" aria-label="Answer" aria-busy="true">{body}</section>'


def arriving_words_html(words: Words, num_layers: int) -> str:
    """Words that have arrived so far, coloured by depth like those of an answer."""
    chips = " ".join(
        f'<span class="off-word" style="{style(depth_swatch(word.depth, num_layers))}">'
        f"{escape(word.text.strip())}<sub>{word.depth}</sub></span>"
        for word in words
        if word.text.strip()
    )
    text = escape("".join(word.text for word in words).strip())
    return (
        f'<p class="off-headline" aria-live="polite">{text} …</p>'
        f'<p class="off-words" aria-hidden="true">{chips}</p>'
    )


def facts_html(shown: Shown) -> str:
    """Setting, cache, model and request id, where they are known."""
    facts = []
    if shown.policy:
        facts.append(("setting", shown.policy.name or "own thresholds"))
    if shown.cache:
        facts.append(("cache", f"{shown.cache} ({CACHE_WORDS[shown.cache]})"))
    if shown.model:
        facts.append(("model", f"{shown.model.name} {shown.model.hash[:12]}"))
    if shown.request_id:
        facts.append(("request", shown.request_id))
    return " ".join(f"<span><b>{name}</b> {escape(value)}</span>" for name, value in facts)


def picture_html(trace: ExitTrace) -> str:
    """The whole exit picture: heading, encoder bars, decoder grid, legend."""
    return (
        '<section class="off-picture" aria-label="Which layers ran">'
        "<h3>Which layers ran</h3>"
        '<p class="off-hint">Every word and the photo itself pass through layers from the first '
        "on, and leave as soon as the answer is safe. Press a name to see why it stopped.</p>"
        f"{layers_html(trace)}{legend_html()}</section>"
    )


def layers_html(trace: ExitTrace, is_linked: bool = True) -> str:
    """Encoder bars and decoder grid; ``is_linked`` names are buttons that open their score."""
    return (
        "<h4>Encoder: photo and text</h4>"
        f"{modality_html('Image', 'image', trace.encoder.image, is_linked)}"
        f"{modality_html('Text', 'text', trace.encoder.text, is_linked)}"
        f"<h4>Decoder: word by word</h4>{grid_html(trace.decoder, is_linked)}"
    )


def name_html(name: str, site: str, is_linked: bool) -> str:
    """The name of an exit site."""
    if not is_linked:
        return f"<span>{escape(name)}</span>"
    return f'<button type="button" data-site="{site}">{escape(name)}</button>'


def modality_html(name: str, site: str, modality: ModalityTrace, is_linked: bool) -> str:
    """One bar: a segment per layer, filled as far as the modality went."""
    segments = "".join(
        segment_html(layer, modality.num_layers, layer < modality.depth)
        for layer in range(modality.num_layers)
    )
    words = modality_words(name, modality).removeprefix(f"{name}: ")
    return (
        f'<div class="off-modality">{name_html(name, site, is_linked)}'
        f'<span class="off-bar" role="img" aria-label="{modality_words(name, modality)}">'
        f'{segments}</span><span class="off-count">{words}</span></div>'
    )


def segment_html(layer: int, num_layers: int, is_run: bool) -> str:
    """One layer of a bar."""
    state = CellState.RAN if is_run else CellState.NEVER
    fill = style(depth_swatch(layer + 1, num_layers)) if is_run else ""
    return f'<i class="off-cell {CSS_CLASSES[state]}" style="{fill}">{SYMBOLS[state]}</i>'


def grid_html(decoder: DecoderTrace, is_linked: bool = True) -> str:
    """The layer-by-token table: words across, layers downwards."""
    grid = exit_grid(decoder)
    heads = "".join(
        f'<th scope="col">{name_html(token, f"{TOKEN_SITE}{index}", is_linked)}</th>'
        for index, token in enumerate(grid.tokens)
    )
    rows = "".join(row_html(layer, grid) for layer in range(len(grid.cells)))
    depths = "".join(f"<td>{depth}</td>" for depth in grid.depths)
    classes = "off-grid off-few" if len(grid.tokens) <= MAX_WORDS_ACROSS else "off-grid"
    return (
        '<div class="off-scroll" role="region" aria-label="Layers by words" tabindex="0">'
        f'<table class="{classes}"><caption class="off-sr">What each layer did for each word'
        f'</caption><thead><tr><th scope="col">Layer</th>{heads}</tr></thead><tbody>{rows}</tbody>'
        f'<tfoot><tr><th scope="row">Left after</th>{depths}</tr></tfoot></table></div>'
    )


def row_html(layer: int, grid: ExitGrid) -> str:
    """One layer of the grid."""
    swatch_here = depth_swatch(layer + 1, len(grid.cells))
    cells = "".join(cell_html(state, swatch_here) for state in grid.cells[layer])
    return f'<tr><th scope="row">{layer + 1}</th>{cells}</tr>'


def cell_html(state: CellState, swatch_here: Swatch) -> str:
    """One cell: colour, symbol and (for a screen reader) words."""
    fill = f"--off-depth:{swatch_here.background};"
    if state is CellState.RAN:
        fill += style(swatch_here)
    return (
        f'<td class="off-cell {CSS_CLASSES[state]}" style="{fill}" title="{state.value}">'
        f'<span aria-hidden="true">{SYMBOLS[state]}</span>{sr(state.value)}</td>'
    )


def legend_html() -> str:
    """What the three symbols mean."""
    items = "".join(legend_item_html(state) for state in CellState)
    return f'<ul class="off-legend" aria-label="Legend">{items}</ul>'


def legend_item_html(state: CellState) -> str:
    """One symbol with its words."""
    sample = depth_swatch(1, 2)
    fill = f"--off-depth:{sample.background};"
    if state is CellState.RAN:
        fill += style(sample)
    return (
        f'<li><span class="off-cell {CSS_CLASSES[state]}" style="{fill}" aria-hidden="true">'
        f"{SYMBOLS[state]}</span> {state.value}</li>"
    )


def cost_html(shown: Shown) -> str:
    """What was saved, first in a sentence; layers and FLOPs as bars, milliseconds by stage."""
    cost = shown.trace.cost
    return (
        '<section class="off-cost" aria-label="What it cost"><h3>What it cost</h3>'
        f'<p class="off-why">{escape(cost_words(shown))}</p>'
        f'<div class="off-meters">{savings_html(cost)}</div>{stages_html(cost)}'
        f'<details class="off-about"><summary>What these figures mean</summary>{COST_NOTES}'
        "</details></section>"
    )


def cost_words(shown: Shown) -> str:
    """The cost in a sentence or two for somebody who is new to it."""
    cost = shown.trace.cost
    share = cost.flops / cost.flops_full if cost.flops_full else 1.0
    words = (
        f"The model did {100 * share:.0f} % of the arithmetic of a full run, "
        f"in {total_ms(cost):.0f} ms."
    )
    if shown.cache == "hit":
        return (
            f"This answer was kept from before and cost next to nothing now. When it was computed: "
            f"{words}"
        )
    return f"{words} What a full run takes on this photo is on the Compare tab."


def savings_html(cost: Cost) -> str:
    """The two meters: layers and FLOPs, run beside full depth."""
    layers = f"{cost.layers_run:.1f} of {cost.layers_full:g} layers"
    flops = f"{cost.flops / 1e9:.2f} of {cost.flops_full / 1e9:.2f} GFLOP"
    return meter_html(layers, cost.layers_run, cost.layers_full) + meter_html(
        flops, cost.flops, cost.flops_full
    )


def meter_html(words: str, run: float, full: float) -> str:
    """A bar of what was run, and the part saved in words."""
    saved = 100 * saved_fraction(run, full)
    verdict = f"{saved:.0f} % saved" if saved >= 0 else f"{-saved:.0f} % more"
    width = min(max(100 - saved, 0.0), 100.0)
    return (
        f'<div class="off-meter"><b>{verdict}</b><span>{words}</span>'
        f'<span class="off-track"><i style="width:{width:.1f}%"></i></span></div>'
    )


def stages_html(cost: Cost) -> str:
    """Milliseconds by stage as one divided bar with its numbers."""
    stages, total = stage_ms(cost), total_ms(cost)
    parts = "".join(
        f'<i style="flex-grow:{ms:.3f};background:{STAGE_COLORS[name]}"></i>'
        for name, ms in stages.items()
    )
    labels = "".join(
        f'<li><i style="background:{STAGE_COLORS[name]}"></i>{name} <b>{ms:.1f} ms</b></li>'
        for name, ms in stages.items()
    )
    return (
        f'<div class="off-stages"><b>{total:.0f} ms</b><span>in the model</span>'
        f'<span class="off-split" aria-hidden="true">{parts}</span><ul>{labels}</ul></div>'
    )


def error_html(message: str, request_id: str | None = None) -> str:
    """A plain sentence in place of an answer."""
    trailer = f"<small>request {escape(request_id)}</small>" if request_id else ""
    return f'<div class="off-error" role="alert"><p>{escape(message)}</p>{trailer}</div>'


def swatch(depth: int, decoder: DecoderTrace) -> Swatch:
    """The colour of a depth of this decoder."""
    return depth_swatch(depth, decoder.num_layers)


def style(colors: Swatch) -> str:
    """Inline style of a swatch."""
    return f"background:{colors.background};color:{colors.text}"


def sr(words: str) -> str:
    """Words for a screen reader only."""
    return f'<span class="off-sr">{escape(words)}</span>'
