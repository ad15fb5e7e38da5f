"""A report as text for people."""

from serve.load.latencies import Latencies
from serve.load.report import LoadReport, TaskLoad

HEAD = ("task", "calls", "ok", "refused", "failed", "p50 ms", "p90 ms", "p95 ms", "p99 ms")


def load_table(report: LoadReport) -> str:
    """The report as a Markdown table and a few lines around it."""
    rows = [_row(name, load) for name, load in [*report.tasks.items(), ("all", report.total)]]
    lines = [
        f"offered {report.offered_per_s:.1f}/s, answered {report.answered_per_s:.1f}/s, "
        f"sent late by {report.lag_p99_ms:.0f} ms (p99)",
        "",
        _line(HEAD),
        _line(["---"] * len(HEAD)),
        *(_line(row) for row in rows),
        "",
        f"statuses {_counts(report.statuses)}; cache {_counts(report.caches)}; "
        f"presets {_counts(report.presets)}",
    ]
    if report.layers_saved is not None:
        lines.append(f"layers saved {report.layers_saved:.1%} of computed answers")
    if report.retry_after_fraction is not None:
        lines.append(f"refusals that say when to come back {report.retry_after_fraction:.0%}")
    return "\n".join(lines)


def _row(name: str, load: TaskLoad) -> list[str]:
    counts = (load.num, load.num_ok, load.num_refused, load.num_failed)
    return [name, *map(str, counts), *_milliseconds(load.latencies)]


def _milliseconds(latencies: Latencies | None) -> list[str]:
    if latencies is None:
        return ["-"] * 4
    values = (latencies.p50_ms, latencies.p90_ms, latencies.p95_ms, latencies.p99_ms)
    return [f"{value:.1f}" for value in values]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _counts(counts: dict[int, int] | dict[str, int]) -> str:
    return ", ".join(f"{name or '-'}: {num}" for name, num in counts.items()) or "none"
