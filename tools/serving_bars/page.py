"""Records as a page of Markdown: every bar, then every measurement with its conditions."""

from collections.abc import Mapping, Sequence
from typing import Any

from tools.serving_bars.records import Check, Record

TITLE = """# The service against its bars

Made by `python -m tools.serving_bars` from
[results/service/serving.json](results/service/serving.json); every bar is a ratio or a difference
within one run on one machine. Measure one again with `python -m tools.serving_bars --only NAME`.
"""


def bars_page(records: Sequence[Record], titles: Mapping[str, str], figures: Sequence[str]) -> str:
    """The page.

    Args:
        records: What was measured.
        titles: What each measurement is, by its name.
        figures: Files beside the JSON to show.
    """
    bars = [[record.name, *_bar(check)] for record in records for check in record.checks]
    parts = [TITLE, table(["measurement", "what", "value", "bar", "met"], bars)]
    parts += [_section(record, titles[record.name]) for record in records]
    parts += [f"![{name}](results/service/{name})\n" for name in figures]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def show(value: Any) -> str:
    """A value of a table."""
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else _whole(value)


def _whole(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _bar(check: Check) -> list[str]:
    sign = "at most" if check.is_at_most else "at least"
    return [check.what, show(check.value), f"{sign} {show(check.limit)}", _yes(check.is_met)]


def _yes(is_met: bool) -> str:
    return "yes" if is_met else "**no**"


def _section(record: Record, title: str) -> str:
    head = list(record.rows[0]) if record.rows else []
    rows = [[show(row[name]) for name in head] for row in record.rows]
    conditions = "; ".join(f"{name} {show(value)}" for name, value in record.conditions.items())
    machine = record.machine
    where = f"{machine.processor}, {machine.num_cores} cores, commit `{record.commit}`"
    return f"## {record.name}\n\n{title}\n\n{table(head, rows)}\n{conditions}; {where}.\n"
