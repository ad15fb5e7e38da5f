"""Plans: as few replicas as hold, and the part that gives way next."""

import pytest

from serve.load.arrivals import Mix
from serve.planning.costs import Costs
from serve.planning.plan import Goal, Limits, plan_rate, saturation_rate
from serve.planning.simulation import Shape

CAPTIONS = Mix.parse("caption=1")
SHAPE = Shape(num_slots=1, max_admit_per_step=1)
GOAL = Goal(CAPTIONS, p95_ms=300.0)


def test_replica_that_never_waits_answers_one_per_step(costs: Costs) -> None:
    assert saturation_rate(costs, SHAPE, CAPTIONS) == pytest.approx(10.0, rel=0.02)


def test_plan_has_room_above_what_the_rate_needs_on_average(costs: Costs) -> None:
    plan = plan_rate(costs, SHAPE, GOAL, 45.0, Limits())
    assert 5 < plan.num_replicas <= 8  # 4.5 replicas' worth of work
    assert plan.simulated.latencies is not None and plan.simulated.latencies.p95_ms < 300.0
    assert plan.num_cores == plan.num_replicas
    assert plan.core_hours == pytest.approx(1e6 * plan.num_replicas / 45 / 3600)


def test_what_runs_beside_replicas_needs_cores_too(costs: Costs) -> None:
    beside = costs.model_copy(update={"beside_ms": 30.0})
    plan = plan_rate(beside, SHAPE, GOAL, 45.0, Limits())
    assert plan.num_cores == plan.num_replicas + 2  # 1.35 cores


def test_hits_need_no_replica(costs: Costs) -> None:
    goal = Goal(CAPTIONS, p95_ms=300.0, hit_fraction=0.8)
    assert plan_rate(costs, SHAPE, goal, 45.0, Limits()).num_replicas <= 2


def test_part_nearest_to_its_limit_is_named(costs: Costs) -> None:
    heavy = costs.model_copy(update={"request_bytes": 1e6})
    assert plan_rate(costs, SHAPE, GOAL, 10.0, Limits()).bottleneck == "proxy"
    plan = plan_rate(heavy, SHAPE, GOAL, 10.0, Limits())
    assert (plan.bottleneck, plan.shares["network"]) == ("network", pytest.approx(0.08))
    assert plan.shares["Redis"] == pytest.approx(0.0002)


def test_bound_below_the_answer_itself_is_refused(costs: Costs) -> None:
    with pytest.raises(ValueError, match="more replicas do not help"):
        plan_rate(costs, SHAPE, Goal(CAPTIONS, p95_ms=50.0), 1.0, Limits())
