"""The search for the highest rate, against a service that stands 30 requests per second."""

import pytest

from serve.load.highest_rate import Bound, highest_rate
from serve.load.outcome import Outcome
from serve.load.report import LoadReport, make_report

BOUND = Bound(p95_ms=1000.0)


def report_of(rate: float, limit: float, status: int = 200) -> LoadReport:
    latency_s = 0.1 if rate <= limit else 2.0
    return make_report([Outcome("tags", 1.0, 0.0, latency_s, status)], {"rate": rate})


@pytest.mark.parametrize("start", [1.0, 10.0, 100.0])
def test_search_ends_just_below_what_the_service_stands(start: float) -> None:
    rate, report = highest_rate(lambda rate: report_of(rate, 30.0), start, BOUND.holds)
    assert 30.0 / 1.05 <= rate <= 30.0
    assert report is not None and report.conditions["rate"] == rate


def test_service_that_stands_nothing_ends_the_search() -> None:
    assert highest_rate(lambda rate: report_of(rate, 0.0), 64.0, BOUND.holds) == (0.0, None)


@pytest.mark.parametrize("status", [429, 500, 0])
def test_rate_with_refusals_or_failures_does_not_hold(status: int) -> None:
    assert not BOUND.holds(report_of(1.0, 30.0, status))


def test_start_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="start_rate 0"):
        highest_rate(lambda rate: report_of(rate, 30.0), 0.0, BOUND.holds)
