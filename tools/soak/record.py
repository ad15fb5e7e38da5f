"""A soak as a record of the service's page: what must not happen, and what did."""

from collections import defaultdict

from tools.serving_bars.page import SOAK
from tools.serving_bars.records import Check, Record
from tools.serving_bars.stand import record
from tools.soak.ledger import Fate
from tools.soak.memory import MAX_GROWTH
from tools.soak.run import SoakReport
from tools.soak.timetable import Change

NUM_REDIS_KILLS = 2

Row = dict[str, float | int | str | None]


def soak_record(report: SoakReport, conditions: dict[str, float | int]) -> Record:
    """The record of a soak on this machine; ``conditions`` are those the report does not know."""
    when: dict[Change, list[str]] = defaultdict(list)
    for at_s, what in report.events:
        when[what].append(f"{at_s:.0f}")
    changes = {f"{what} at s": " ".join(times) for what, times in when.items()}
    return record(
        SOAK, _checks(report), _rows(report), {**report.conditions, **conditions, **changes}
    )


def _checks(report: SoakReport) -> list[Check]:
    fates = report.fates
    num_minutes = int(report.conditions["seconds"] // 60)
    num_redis_kills = sum(what is Change.REDIS_DOWN for _, what in report.events)
    values: list[tuple[str, float | None, float, bool]] = [
        ("wrong answers", fates.get(Fate.WRONG, 0), 0, True),
        ("requests that hang", fates.get(Fate.HUNG, 0), 0, True),
        ("requests that fail after one more try", fates.get(Fate.FAILED, 0), 0, True),
        ("deadlines passed (504)", fates.get(Fate.LATE, 0), 0, True),
        ("5xx and broken connections that no kill explains", report.num_unexplained, 0, True),
        ("malformed bodies not refused with 4xx", fates.get(Fate.MALFORMED_TAKEN, 0), 0, True),
        ("memory, last minute over the third (share)", report.memory_growth, MAX_GROWTH, True),
        ("replicas killed", report.num_kills, num_minutes, False),
        ("times Redis was killed", num_redis_kills, NUM_REDIS_KILLS, False),
    ]
    return [
        Check(what=what, value=value, limit=limit, is_at_most=is_at_most)
        for what, value, limit, is_at_most in values
    ]


def _rows(report: SoakReport) -> list[Row]:
    values: dict[str, float | int | None] = {**report.fates, "sent again": report.retried}
    latencies = report.latencies
    if latencies is not None:
        for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms"):
            text = f"right answers, {name.removesuffix('_ms')} (ms)"
            values[text] = getattr(latencies, name)
    for minute, mib in enumerate(report.memory_mib, start=1):
        values[f"memory in minute {minute} (MiB)"] = mib
    return [{"what": what, "value": value} for what, value in values.items()]
