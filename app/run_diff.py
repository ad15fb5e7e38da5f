"""Two run files beside each other: what was asked, what was answered, what it cost.

Pure: runs in, rows or HTML out. Settings are matched by what they are, not by their place.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from app.comparison import changed_words
from app.exits import token_label, total_ms
from app.run_file import Run
from app.setting import Setting
from app.state import Shown

MISSING = "not in this run"


class Row(NamedTuple):
    """One fact of both runs."""

    name: str
    first: str
    second: str

    @property
    def is_same(self) -> bool:
        """True when the runs agree."""
        return self.first == self.second


def input_rows(first: Run, second: Run) -> list[Row]:
    """What the runs were asked, and of which model."""
    facts = [("saved at", first.saved_at, second.saved_at), ("task", *tasks(first, second))]
    facts += [
        ("photo (SHA-256)", first.photo_hash[:12], second.photo_hash[:12]),
        ("hypothesis", first.plan.hypothesis, second.plan.hypothesis),
        ("premise", first.plan.premise, second.plan.premise),
        ("model", model_words(first), model_words(second)),
    ]
    return [Row(*fact) for fact in facts if fact[1] or fact[2]]


def tasks(first: Run, second: Run) -> tuple[str, str]:
    """The tasks of both."""
    return first.plan.task, second.plan.task


def model_words(run: Run) -> str:
    """The weights that answered; several where a run met more than one."""
    names = {f"{one.model.name} {one.model.hash[:12]}" for one in run.answers if one.model}
    return ", ".join(sorted(names))


def setting_pairs(first: Run, second: Run) -> list[tuple[Setting, Shown | None, Shown | None]]:
    """Every setting of either run, with its answer in each."""
    before = dict(zip(first.plan.settings, first.answers, strict=True))
    after = dict(zip(second.plan.settings, second.answers, strict=True))
    return [(each, before.get(each), after.get(each)) for each in {**before, **after}]


def answer_rows(first: Shown | None, second: Shown | None) -> list[Row]:
    """What one setting gave in each run."""
    facts = [answer_facts(first), answer_facts(second)]
    names = list(facts[0] or facts[1])
    return [Row(name, *(each.get(name, MISSING) for each in facts)) for name in names]


def answer_facts(shown: Shown | None) -> dict[str, str]:
    """An answer's words, depths and cost; nothing for one that is missing."""
    if shown is None:
        return {}
    cost, encoder = shown.trace.cost, shown.trace.encoder
    depths = [token.depth for token in shown.trace.decoder.tokens]
    mean_depth = f"{sum(depths) / len(depths):.2f}" if depths else "none"
    return {
        "answer": shown.headline,
        "layers of photo, text, word (mean)": (
            f"{encoder.image.depth}, {encoder.text.depth}, {mean_depth}"
        ),
        "layers run": f"{cost.layers_run:.2f} of {cost.layers_full:g}",
        "GFLOP": f"{cost.flops / 1e9:.3f} of {cost.flops_full / 1e9:.3f}",
        "time in the model": f"{total_ms(cost):.0f} ms",
        "cache": shown.cache or "not known",
    }


def diff_html(first: Run, second: Run) -> str:
    """Both runs as tables: the input, then every setting."""
    tables = [table_html("Asked", input_rows(first, second))]
    for setting, before, after in setting_pairs(first, second):
        table = table_html(setting.name, answer_rows(before, after))
        tables.append(table + (words_html(before, after) if before and after else ""))
    return (
        '<section class="off-picture" aria-label="Difference of two runs">'
        f"<h3>This run beside the other file</h3>{''.join(tables)}</section>"
    )


def table_html(title: str, rows: Sequence[Row]) -> str:
    """Facts of both runs, each said to be equal or not."""
    body = "".join(row_html(row) for row in rows)
    return (
        '<div class="off-scroll" role="region" tabindex="0" '
        f'aria-label="{escape(title, quote=True)}"><table class="off-diff">'
        f"<caption>{escape(title)}</caption><thead><tr><th></th>"
        '<th scope="col">this run</th><th scope="col">other file</th><th scope="col">same?</th>'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def row_html(row: Row) -> str:
    """One fact."""
    mark = "= same" if row.is_same else "≠ differs"
    kind = "" if row.is_same else ' class="off-differs"'
    return (
        f'<tr{kind}><th scope="row">{escape(row.name)}</th><td>{escape(row.first)}</td>'
        f"<td>{escape(row.second)}</td><td>{mark}</td></tr>"
    )


def words_html(first: Shown, second: Shown) -> str:
    """The other file's words with those marked that this run does not have."""
    before, after = first.trace.decoder.tokens, second.trace.decoder.tokens
    changed = changed_words(before, after)
    if not changed:
        return ""
    words = " ".join(
        f'<span class="off-changed">{escape(token_label(token))}</span>'
        if index in changed
        else escape(token_label(token))
        for index, token in enumerate(after)
    )
    return (
        f'<p class="off-hint">Words of the other file that this run lacks are marked: {words}</p>'
    )
