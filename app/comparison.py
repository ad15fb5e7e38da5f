"""Settings side by side, as HTML: same words or not, which differ, and how far each is.

Pure, like ``pictures``, whose parts it uses. The first lane is what the others are compared with.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape

from app.exits import total_ms
from app.lanes import Lane
from app.pictures import (
    WAITING,
    answer_parts_html,
    arriving_words_html,
    error_html,
    layers_html,
    legend_html,
    meter_html,
    savings_html,
)
from app.state import Shown
from serve.schemas import TokenTrace


def comparison_html(lanes: Sequence[Lane], num_layers: int) -> str:
    """The agreement in a sentence, one card per lane, then the legend they share.

    Args:
        lanes: Under way or finished.
        num_layers: Layers of the decoder, for the colours of words that arrive.
    """
    cards = "".join(card_html(lane, lanes[0], num_layers) for lane in lanes)
    return (
        f'<p class="off-agreement" role="status">{escape(agreement_words(lanes))}</p>'
        f'<div class="off-compare">{cards}</div>{legend_html()}'
    )


def agreement_words(lanes: Sequence[Lane]) -> str:
    """How many of the other settings give the reference's answer."""
    num_finished = sum(lane.is_finished for lane in lanes)
    if num_finished < len(lanes):
        return f"{num_finished} of {len(lanes)} settings have answered."
    reference, others = lanes[0], lanes[1:]
    answered = [lane.shown for lane in others if lane.shown]
    if reference.shown is None or not answered:
        return "There is nothing to compare: too few settings have answered."
    same = sum(is_same_answer(reference.shown, shown) for shown in answered)
    return (
        f"{same} of {len(answered)} other settings give the same answer as "
        f"{reference.setting.name}."
    )


def is_same_answer(first: Shown, second: Shown) -> bool:
    """True when two answers say the same."""
    return first.headline == second.headline


def card_html(lane: Lane, reference: Lane, num_layers: int) -> str:
    """One setting: its words with the changed ones marked, its exits, what it saved."""
    name = escape(lane.setting.name, quote=True)
    if lane.error:
        body = error_html(lane.error.message, lane.error.request_id)
    elif lane.shown:
        body = answer_body_html(lane.shown, lane, reference)
    elif lane.words:
        body = arriving_words_html(lane.words, num_layers)
    else:
        body = WAITING
    return f'<article aria-label="{name}"><h3>{name}</h3>{body}</article>'


def answer_body_html(shown: Shown, lane: Lane, reference: Lane) -> str:
    """A finished lane."""
    changed: frozenset[int] = frozenset()
    if reference.shown and lane is not reference and not is_same_answer(reference.shown, shown):
        changed = changed_words(reference.shown.trace.decoder.tokens, shown.trace.decoder.tokens)
    return (
        f"{verdict_html(lane, reference)}{answer_parts_html(shown, changed)}"
        f'<div class="off-picture">{layers_html(shown.trace, is_linked=False)}</div>'
        f'<div class="off-meters">{savings_html(shown.trace.cost)}'
        f"{time_html(shown, reference)}</div>"
    )


def time_html(shown: Shown, reference: Lane) -> str:
    """The milliseconds beside those of the reference, when these are known."""
    if reference.shown is None:
        return ""
    run, full = total_ms(shown.trace.cost), total_ms(reference.shown.trace.cost)
    words = f"{run:.0f} ms, {reference.setting.name} took {full:.0f} ms"
    return meter_html(escape(words), run, full)


def verdict_html(lane: Lane, reference: Lane) -> str:
    """Whether the answer is the reference's."""
    if lane is reference:
        words = "the reference"
    elif reference.shown is None or lane.shown is None:
        words = "nothing to compare it with yet"
    elif is_same_answer(reference.shown, lane.shown):
        words = f"= same answer as {reference.setting.name}"
    else:
        words = f"≠ another answer than {reference.setting.name}"
    return f'<span class="off-verdict">{escape(words)}</span>'


def changed_words(reference: Sequence[TokenTrace], words: Sequence[TokenTrace]) -> frozenset[int]:
    """Indices in ``words`` of those that the reference does not have at that place."""
    before = [token.text for token in reference]
    after = [token.text for token in words]
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return frozenset(
        index
        for tag, _, _, start, stop in changes
        if tag != "equal"
        for index in range(start, stop)
    )
