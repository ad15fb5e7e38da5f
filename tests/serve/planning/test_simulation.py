"""The simulation against queueing theory, and against cases that can be added up."""

from dataclasses import replace

import pytest

from serve.load.arrivals import Mix
from serve.planning.costs import AdmitCost, Costs, StepCost, TaskCost
from serve.planning.simulation import Demand, Shape, replay, simulate

CAPTIONS = Mix.parse("caption=1")
ONE_SLOT = Shape(num_slots=1, max_admit_per_step=1, queue_limit=10_000)


@pytest.mark.parametrize(("rate", "mean_ms"), [(5.0, 150.0), (8.0, 300.0)])
def test_one_slot_with_equal_answers_is_the_queue_of_theory(
    costs: Costs, rate: float, mean_ms: float
) -> None:
    # M/D/1 with a service time of 0.1 s: 0.1 + load * 0.1 / (2 * (1 - load)), load = rate / 10.
    found = simulate(costs, ONE_SLOT, Demand(rate, 1500.0, CAPTIONS))
    assert found.latencies is not None
    assert found.latencies.mean_ms == pytest.approx(mean_ms, rel=0.08)
    assert found.utilisation == pytest.approx(rate / 10, rel=0.03)
    assert found.answered_per_s == pytest.approx(rate, rel=0.03)


def test_too_much_load_is_answered_at_the_rate_of_full_slots(costs: Costs) -> None:
    shape = Shape(num_slots=4, max_admit_per_step=4, queue_limit=8)
    found = simulate(costs, shape, Demand(80.0, 50.0, CAPTIONS))
    assert found.answered_per_s == pytest.approx(40.0, rel=0.02)  # four in each 0.1 s
    assert found.refused_fraction == pytest.approx(0.5, abs=0.03)
    assert found.utilisation == pytest.approx(1.0, abs=0.01)


def test_lone_request_takes_admission_steps_and_the_way() -> None:
    step = StepCost(base_ms=1.0, layer_ms=2.0, row_ms=0.0, row_layer_ms=0.0)
    task = TaskCost(admit=AdmitCost(base_ms=10.0, row_ms=5.0), answers=[[6, 2, 1]])
    costs = Costs(policy="p", step=step, tasks={"caption": task}, way_ms=4.0, handling_ms=1.0)
    found = simulate(costs, Shape(), Demand(0.01, 5000.0, CAPTIONS))
    assert found.latencies is not None
    # 10 + 5 admitted, steps of 13, 5 and 3, and 4 on the way; handling keeps no idle engine.
    assert found.latencies.p50_ms == pytest.approx(40.0)


def test_answer_of_the_encoder_alone_takes_no_step() -> None:
    step = StepCost(base_ms=500.0, layer_ms=0.0, row_ms=0.0, row_layer_ms=0.0)
    task = TaskCost(admit=AdmitCost(base_ms=10.0, row_ms=0.0), answers=[[]])
    costs = Costs(policy="p", step=step, tasks={"tags": task})
    found = simulate(costs, Shape(), Demand(0.01, 5000.0, Mix.parse("tags=1")))
    assert found.latencies is not None
    assert found.latencies.p50_ms == pytest.approx(10.0)


def answers_per_s(max_admit_s_per_step: float, costs: Costs) -> float:
    """Of eight slots that never lack work."""
    shape = Shape(num_slots=8, queue_limit=100, max_admit_s_per_step=max_admit_s_per_step)
    return simulate(costs, shape, Demand(40.0, 400.0, CAPTIONS)).answered_per_s


def test_encoding_between_two_steps_is_bounded_by_time_as_in_the_engine() -> None:
    step = StepCost(base_ms=100.0, layer_ms=0.0, row_ms=0.0, row_layer_ms=0.0)
    task = TaskCost(admit=AdmitCost(base_ms=0.0, row_ms=60.0), answers=[[1, 1]])
    costs = Costs(policy="full", step=step, tasks={"caption": task})
    # Four take 240 ms, and the same four leave after two steps: 340 ms with them, 340 ms with four
    # more, and so on: four in each 340 ms.
    assert answers_per_s(0.25, costs) == pytest.approx(4 / 0.34, rel=0.02)
    # 130 ms hold two: two answers in each 2 * 60 + 100 ms.
    assert answers_per_s(0.13, costs) == pytest.approx(2 / 0.22, rel=0.02)
    # Not even one fits: one is admitted all the same, in each 60 + 100 ms.
    assert answers_per_s(0.01, costs) == pytest.approx(1 / 0.16, rel=0.02)


def test_time_does_not_bound_what_is_encoded_while_nobody_is_decoded() -> None:
    step = StepCost(base_ms=100.0, layer_ms=0.0, row_ms=0.0, row_layer_ms=0.0)
    task = TaskCost(admit=AdmitCost(base_ms=0.0, row_ms=60.0), answers=[[1]])
    costs = Costs(policy="full", step=step, tasks={"caption": task})
    # Every answer ends with its step, so four are admitted into an empty batch each time.
    assert answers_per_s(0.01, costs) == pytest.approx(4 / 0.34, rel=0.02)


def test_hits_cost_their_own_time_and_no_work(costs: Costs) -> None:
    kept = costs.model_copy(update={"cached_ms": 3.0})
    found = simulate(kept, ONE_SLOT, Demand(5.0, 1000.0, CAPTIONS, hit_fraction=0.6))
    assert found.latencies is not None
    assert found.latencies.p50_ms == 3.0
    assert found.utilisation == pytest.approx(0.2, rel=0.1)  # 2 of 10 per second


def test_two_replicas_share_the_work(costs: Costs) -> None:
    demand = Demand(8.0, 1000.0, CAPTIONS)
    one = simulate(costs, ONE_SLOT, demand)
    two = simulate(costs, replace(ONE_SLOT, num_replicas=2), demand)
    assert two.utilisation == pytest.approx(one.utilisation / 2, rel=0.05)
    assert two.latencies is not None and one.latencies is not None
    assert two.latencies.mean_ms < one.latencies.mean_ms / 2


def test_same_seed_gives_the_same_result(costs: Costs) -> None:
    demand = Demand(8.0, 100.0, CAPTIONS, seed=3)
    assert simulate(costs, ONE_SLOT, demand) == simulate(costs, ONE_SLOT, demand)
    assert simulate(costs, ONE_SLOT, demand) != simulate(costs, ONE_SLOT, replace(demand, seed=4))


@pytest.mark.parametrize(
    ("num_replicas", "num_cores", "answers_per_s"),
    # Two of 10 per second and 0.05 s beside each answer on two cores: r = 20 / (1 + 0.025 r).
    [(2, None, 20.0), (2, 2, 14.64), (1, 2, 10.0)],
)
def test_replicas_share_the_cores_with_what_runs_beside_them(
    costs: Costs, num_replicas: int, num_cores: int | None, answers_per_s: float
) -> None:
    shape = replace(ONE_SLOT, num_replicas=num_replicas, queue_limit=50)
    beside = costs.model_copy(update={"beside_ms": 50.0})
    found = simulate(beside, shape, Demand(40.0, 200.0, CAPTIONS), num_cores)
    assert found.answered_per_s == pytest.approx(answers_per_s, rel=0.03)


def test_replayed_arrivals_wait_for_one_another(costs: Costs) -> None:
    one_slot = Shape(num_slots=1, max_admit_per_step=1)
    found = replay(costs, one_slot, [(0.0, "caption"), (0.0, "caption"), (1.0, "caption")])
    assert found.latencies is not None
    # 100 ms each: the second waits for the first, the third for nobody.
    assert found.latencies.p50_ms == pytest.approx(100.0)
    assert found.latencies.max_ms == pytest.approx(200.0)
    assert found.answered_per_s == pytest.approx(3 / 1.1)


def test_replayed_arrivals_go_to_the_replica_that_has_less(costs: Costs) -> None:
    two = Shape(num_replicas=2, num_slots=1, max_admit_per_step=1)
    found = replay(costs, two, [(0.0, "caption"), (0.0, "caption")])
    assert found.latencies is not None
    assert found.latencies.max_ms == pytest.approx(100.0)
    assert found.utilisation == pytest.approx(1.0)


def test_request_that_comes_while_the_engine_works_keeps_it(costs: Costs) -> None:
    two_slots = Shape(num_slots=2)
    busy = costs.model_copy(update={"handling_ms": 30.0})
    found = replay(busy, two_slots, [(0.0, "caption"), (0.05, "caption")])
    assert found.latencies is not None
    # The first is through after its step of 100 ms; the second then waits 50, and takes 100 + 30.
    assert found.latencies.max_ms == pytest.approx(180.0)
