"""Costs add up, and are found again from steps that they made."""

import pytest

from serve.planning.costs import Step, StepCost, fit_admit_cost, fit_step_cost, num_new_layers

COST = StepCost(base_ms=1.0, layer_ms=2.0, row_ms=0.5, row_layer_ms=0.25, new_layer_ms=0.125)


def test_step_pays_for_its_deepest_layer_its_rows_and_their_layers() -> None:
    # The step 1, the deepest layer 6 x 2, three rows 1.5, twelve layers of rows 3.
    assert COST.ms([2, 6, 4]) == 17.5
    # Eight of these layers are new to their rows.
    assert COST.ms([2, 6, 4], 8) == 18.5


def test_layers_are_new_to_a_row_that_goes_deeper_than_ever() -> None:
    assert num_new_layers([6, 3, 2], [0, 1, 4]) == 6 + 2 + 0


def test_fit_finds_the_costs_that_made_the_steps() -> None:
    depths = [[1], [6], [3, 3], [6, 1], [6, 6, 6, 2], [2, 2, 2, 2, 2]]
    steps = [Step(rows, new, COST.ms(rows, new)) for rows in depths for new in (0, max(rows))]
    found, error = fit_step_cost(steps)
    assert found.as_tuple() == pytest.approx(COST.as_tuple(), abs=1e-6)
    assert error == pytest.approx(0.0, abs=1e-9)


def test_fit_never_pays_people_to_wait() -> None:
    found, _ = fit_step_cost(
        [Step([6], 0, 10.0), Step([6, 6], 0, 9.0)]
    )  # noise: two rows are not cheaper
    assert min(found.as_tuple()) >= 0.0


def test_admission_has_a_part_per_batch_and_one_per_request() -> None:
    cost = fit_admit_cost([(1, 30.0), (2, 50.0), (4, 90.0)])
    assert (cost.base_ms, cost.row_ms) == (pytest.approx(10.0), pytest.approx(20.0))


def test_fit_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no step"):
        fit_step_cost([])
