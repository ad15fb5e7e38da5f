"""The bound on encoder work between two steps, by hand."""

import pytest

from serve.admission import AdmissionBudget


def test_before_anything_was_encoded_only_the_number_counts() -> None:
    assert AdmissionBudget(4, max_s=0.1).num_requests(is_decoding=True) == 4


def test_no_more_are_admitted_than_fit_into_the_time() -> None:
    budget = AdmissionBudget(8, max_s=0.1)
    budget.note(num_requests=2, duration_s=0.06)  # 30 ms each: three fit into 100 ms
    assert budget.num_requests(is_decoding=True) == 3


def test_cheap_requests_are_still_bounded_by_their_number() -> None:
    budget = AdmissionBudget(8, max_s=0.1)
    budget.note(num_requests=1, duration_s=0.001)
    assert budget.num_requests(is_decoding=True) == 8


def test_one_is_admitted_however_long_it_takes() -> None:
    budget = AdmissionBudget(8, max_s=0.1)
    budget.note(num_requests=1, duration_s=5.0)
    assert budget.num_requests(is_decoding=True) == 1


def test_time_does_not_matter_while_nobody_is_decoded() -> None:
    budget = AdmissionBudget(8, max_s=0.1)
    budget.note(num_requests=1, duration_s=5.0)
    assert budget.num_requests(is_decoding=False) == 8


def test_a_slow_first_batch_is_forgotten() -> None:
    budget = AdmissionBudget(8, max_s=0.1)
    budget.note(num_requests=1, duration_s=1.0)
    for _ in range(20):
        budget.note(num_requests=1, duration_s=0.02)
    # 0.02 + 0.98 * 0.8 ** 20 = 0.0313 s each
    assert budget.num_requests(is_decoding=True) == pytest.approx(3)
