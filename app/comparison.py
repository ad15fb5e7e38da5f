"""Answers to the same input, side by side, as HTML: same words or not, and which differ.

Pure, like ``pictures``, whose parts it uses. The first answer is what the others are compared with.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from html import escape

from app.pictures import answer_parts_html, layers_html, legend_html, savings_html
from app.state import Shown
from serve.schemas import TokenTrace


def comparison_html(answers: Sequence[Shown], is_same: Sequence[bool]) -> str:
    """One card per answer, then the legend they share."""
    first = answers[0]
    cards = "".join(
        card_html(answer, first, same) for answer, same in zip(answers, is_same, strict=True)
    )
    return f'<div class="off-compare">{cards}</div>{legend_html()}'


def card_html(answer: Shown, first: Shown, is_same: bool) -> str:
    """One setting: its words with the changed ones marked, its exits, what it saved."""
    tokens, reference = answer.trace.decoder.tokens, first.trace.decoder.tokens
    changed = frozenset() if is_same else changed_words(reference, tokens)
    return (
        f'<article aria-label="{escape(setting_name(answer), quote=True)}">'
        f"<h3>{escape(setting_name(answer))}</h3>{verdict_html(answer, first, is_same)}"
        f"{answer_parts_html(answer, changed)}"
        f'<div class="off-picture">{layers_html(answer.trace, is_linked=False)}</div>'
        f'<div class="off-meters">{savings_html(answer.trace.cost)}</div></article>'
    )


def verdict_html(answer: Shown, first: Shown, is_same: bool) -> str:
    """Whether the answer is the first one's."""
    if answer is first:
        return '<span class="off-verdict">the reference</span>'
    words = "= same answer as" if is_same else "≠ another answer than"
    return f'<span class="off-verdict">{words} {escape(setting_name(first))}</span>'


def setting_name(answer: Shown) -> str:
    """The preset's name, or that the thresholds are the visitor's own."""
    return (answer.policy.name if answer.policy else None) or "own thresholds"


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
