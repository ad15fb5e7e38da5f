"""Costs that a person can add up."""

import pytest

from serve.planning.costs import AdmitCost, Costs, StepCost, TaskCost


@pytest.fixture
def costs() -> Costs:
    """Every step 100 ms, one token per answer, admission and the way for nothing."""
    step = StepCost(base_ms=100.0, layer_ms=0.0, row_ms=0.0, row_layer_ms=0.0)
    task = TaskCost(admit=AdmitCost(base_ms=0.0, row_ms=0.0), answers=[[1]])
    return Costs(policy="full", step=step, tasks={"caption": task})
