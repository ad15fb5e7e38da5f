"""Records as a page of Markdown: every bar, then every measurement with its conditions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.serving_bars.records import Check, Record, read_records

TITLE = """# The service against its bars

Made by `python -m tools.serving_bars` and `make soak` from the files in
[results/service](results/service); every bar is a ratio, a difference or a count within one run on
one machine. Measure one again with `python -m tools.serving_bars --only NAME`.
"""
BARS_FILE = "serving.json"
SOAK_FILE = "soak.json"
SOAK = "soak"
TITLES = {
    "cached": "The same request again and again, beside a deployment that only reads the body.",
    "hop": "Captions over HTTP without the cache, beside the same engine called in this process.",
    "presets": "The highest rate of captions whose p95 stays below the same bound. For captions the"
    " preset `quality` of the checkpoint then was full depth itself; the present one's is not.",
    "batching": "Continuous batching beside `@serve.batch`, which decodes one whole batch at a time"
    " (`tools/serving_bars/ray_batch.py`): same model, preset, photos, slots and threads.",
    "burst": "Half of what the service can do, twice that, then half again.",
    "governor": "The same burst of requests that ask for `quality` and allow `fast`.",
    "replicas": "Answers per second when nobody pauses; each replica has one thread.",
    SOAK: "Minutes of load while replicas and Redis are killed, Redis is slow and then silent,"
    " callers leave and bodies make no sense (`make soak`). HAProxy gives a question whose replica"
    " died to another one; what fails for the client all the same, it sends again once. A failure"
    " counts as explained when the request was under way while a replica was killed, or sent to it"
    " before anybody knew.",
}


def write_service_page(folder: Path) -> None:
    """Writes serving.md two levels above a folder of results: docs/serving.md for the shipped."""
    (folder.resolve().parents[1] / "serving.md").write_text(service_page(folder), encoding="utf-8")


def service_page(folder: Path) -> str:
    """The page of a folder of results.

    Raises:
        ValueError: A file there holds something else.
    """
    files = (BARS_FILE, SOAK_FILE)
    records = [record for name in files for record in read_records(folder / name)]
    return bars_page(records, TITLES, sorted(path.name for path in folder.glob("burst.svg")))


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
