"""Comparisons put measured and simulated values side by side."""

from collections.abc import Sequence

import pytest

from serve.load.arrivals import Mix
from serve.load.calls import Call
from serve.load.outcome import Outcome
from serve.load.photos import PhotoSource
from serve.load.report import LoadReport, make_report
from serve.planning.costs import Costs
from serve.planning.simulation import Shape
from serve.planning.validate import calls_of, compare, with_handling

CAPTIONS = Mix.parse("caption=1")
SHAPE = Shape(num_slots=1, max_admit_per_step=1)


def test_latencies_below_capacity_and_answers_above_it_are_compared(costs: Costs) -> None:
    offered = []

    def measure(calls: Sequence[Call], rate: float) -> LoadReport:
        offered.append(rate)
        return make_report([Outcome("caption", call.at_s, 0.0, 0.2, 200) for call in calls], {})

    calls_at = calls_of(PhotoSource.generated(0), CAPTIONS, "full")
    found = compare(costs, SHAPE, CAPTIONS, 20.0, calls_at, measure)
    assert offered == pytest.approx([5.0, 8.0, 15.0], rel=0.02)
    assert [one.what for one in found] == ["p50 ms", "p95 ms", "p50 ms", "p95 ms", "answers/s"]
    assert [one.measured for one in found[:4]] == pytest.approx([200.0] * 4)
    assert found[-1].simulated == pytest.approx(10.0, rel=0.02)


def test_handling_is_what_the_engine_leaves_unexplained(costs: Costs) -> None:
    # The engine alone takes 0.1 s per answer; 8 per second take 0.125 s.
    assert with_handling(costs, SHAPE, CAPTIONS, 8.0).handling_ms == pytest.approx(25.0, rel=0.02)
    assert with_handling(costs, SHAPE, CAPTIONS, 20.0).handling_ms == 0.0
