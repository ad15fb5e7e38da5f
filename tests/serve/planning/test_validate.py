"""Comparisons put measured and simulated values side by side."""

from dataclasses import replace

import numpy as np
import pytest

from serve.load.arrivals import Mix, Phase, poisson_times
from serve.load.calls import Call
from serve.load.outcome import Outcome
from serve.load.report import LoadReport, make_report
from serve.planning.costs import Costs
from serve.planning.simulation import Shape
from serve.planning.validate import compare, with_handling

CAPTIONS = Mix.parse("caption=1")
SHAPE = Shape(num_slots=1, max_admit_per_step=1)


class SteadyService:
    """Answers everything within 0.2 s up to a rate, beyond it after 2 s, and so many at most."""

    def __init__(self, limit: float) -> None:
        self.offered: list[float] = []
        self._limit = limit

    def offer(self, rate: float, seconds: float) -> tuple[list[Call], LoadReport]:
        self.offered.append(rate)
        times = poisson_times([Phase(rate, seconds)], np.random.default_rng(0))
        calls = [Call(at_s, "caption", "/v1/caption", b"") for at_s in times]
        latency_s = 0.2 if rate <= self._limit else 2.0
        outcomes = [Outcome("caption", call.at_s, 0.0, latency_s, 200) for call in calls]
        return calls, make_report(outcomes, {})

    def saturate(self, seconds: float) -> float:
        return self._limit


def test_what_a_plan_rests_on_is_compared(costs: Costs) -> None:
    service = SteadyService(8.0)
    found = {one.what: one for one in compare(costs, SHAPE, CAPTIONS, 20.0, service)}
    assert service.offered[0] == pytest.approx(5.0, rel=0.02)
    assert found["p50 ms"].measured == pytest.approx(200.0)
    assert found["p50 ms"].simulated >= 100.0
    highest = found["rate/s at p95 below 1000 ms"]
    assert 8.0 / 1.05 <= highest.measured <= 8.0
    # Theory: Poisson arrivals at 8.5 of 10 per second, 100 ms each, have a p95 of about 0.95 s.
    assert highest.simulated == pytest.approx(8.5, rel=0.06)


def test_answers_per_second_are_foretold_for_more_than_one_replica(costs: Costs) -> None:
    two = replace(SHAPE, num_replicas=2)
    *_, last = compare(costs, two, CAPTIONS, 20.0, SteadyService(16.0))
    assert (last.what, last.measured) == ("answers/s when nobody pauses", 16.0)
    assert last.simulated == pytest.approx(20.0, rel=0.02)


def test_handling_is_what_the_engine_leaves_unexplained(costs: Costs) -> None:
    # The engine alone takes 0.1 s per answer; 8 per second take 0.125 s.
    assert with_handling(costs, SHAPE, CAPTIONS, 8.0).handling_ms == pytest.approx(25.0, rel=0.02)
    assert with_handling(costs, SHAPE, CAPTIONS, 20.0).handling_ms == 0.0
