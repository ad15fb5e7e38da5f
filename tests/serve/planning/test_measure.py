"""Costs measured on a tiny model: positive, of the tasks asked for, with the depths of answers."""

import httpx
import pytest

from model_core.predictor import Predictor
from serve.load.photos import PhotoSource
from serve.planning.measure import ADMIT_SHARES, NUM_SERVED, CostMeter, measure_way


def test_costs_hold_every_task_and_the_depths_of_its_answers(tagging: Predictor) -> None:
    meter = CostMeter(tagging, PhotoSource.generated(0), "full")
    costs = meter.measure(["caption", "entailment", "tags"], num_repeats=1)
    num = [len(costs.tasks[task].answers) for task in ("caption", "entailment")]
    assert sum(num) == NUM_SERVED * len(ADMIT_SHARES)
    assert min(num) > 0
    assert {tuple(depths) for depths in costs.tasks["entailment"].answers} == {(4,)}
    assert costs.tasks["tags"].answers == [[]]
    assert costs.step.ms([4]) > 0
    assert costs.tasks["tags"].admit.row_ms + costs.tasks["tags"].admit.base_ms > 0


def test_way_that_leads_nowhere_is_told() -> None:
    with pytest.raises(httpx.ConnectError):
        measure_way("http://127.0.0.1:9", PhotoSource.generated(0), "full", lambda number: 0.0, 1)
