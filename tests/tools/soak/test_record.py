"""A soak becomes a record whose bars say what must not happen."""

from typing import Any

import pytest

from serve.load.latencies import Latencies
from tools.serving_bars.records import Record
from tools.soak.ledger import Fate
from tools.soak.record import soak_record
from tools.soak.run import SoakReport
from tools.soak.timetable import Change

EVENTS = [
    (20.0, Change.REDIS_DOWN), (30.1, Change.KILL), (40.0, Change.REDIS_DOWN), (90.2, Change.KILL),
]  # fmt: skip


def record_of(**changes: Any) -> Record:
    """Two minutes without a fault, but for ``changes``."""
    values: dict[str, Any] = {
        "conditions": {"seconds": 120.0, "rate": 20.0},
        "fates": {Fate.RIGHT: 2000, Fate.LEFT: 100},
        "retried": 3,
        "num_unexplained": 0,
        "num_kills": 2,
        "latencies": Latencies.of([0.1, 0.2]),
        "events": EVENTS,
        "memory_mib": [900.0, 1000.0],
        "memory_growth": 0.01,
        "faults": [],
    }
    return soak_record(SoakReport(**{**values, **changes}), {"replicas": 2})


def unmet(record: Record) -> list[str]:
    return [check.what for check in record.checks if not check.is_met]


def test_soak_without_a_fault_meets_every_bar() -> None:
    assert unmet(record_of()) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"fates": {Fate.WRONG: 1}}, "wrong answers"),
        ({"fates": {Fate.HUNG: 1}}, "requests that hang"),
        ({"fates": {Fate.FAILED: 1}}, "requests that fail after one more try"),
        ({"fates": {Fate.LATE: 1}}, "deadlines passed (504)"),
        ({"fates": {Fate.MALFORMED_TAKEN: 1}}, "malformed bodies not refused with 4xx"),
        ({"num_unexplained": 1}, "5xx and broken connections that no kill explains"),
        ({"memory_growth": 0.051}, "memory, last minute over the third (share)"),
        ({"memory_growth": None}, "memory, last minute over the third (share)"),
        ({"num_kills": 1}, "replicas killed"),
        ({"events": EVENTS[1:]}, "times Redis was killed"),
    ],
)
def test_each_fault_breaks_its_bar(changes: dict[str, Any], what: str) -> None:
    assert unmet(record_of(**changes)) == [what]


def test_rows_and_conditions_say_what_happened_and_when() -> None:
    record = record_of()
    rows = {row["what"]: row["value"] for row in record.rows}
    assert (rows["right answer"], rows["sent again"]) == (2000, 3)
    assert (rows["right answers, p95 (ms)"], rows["memory in minute 2 (MiB)"]) == (200.0, 1000.0)
    assert record.conditions["replica killed at s"] == "30 90"
    assert record.conditions["Redis killed at s"] == "20 40"
    assert (record.conditions["rate"], record.conditions["replicas"]) == (20.0, 2)
