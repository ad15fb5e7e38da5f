"""When a burst is over."""

import pytest

from serve.load.outcome import Outcome
from serve.load.report import make_report
from tools.serving_bars.burst import Burst, recovery_s


def outcome(due_s: float, latency_s: float = 0.1, status: int = 200) -> Outcome:
    return Outcome("caption", due_s, 0.0, latency_s, status)


def make_burst(*after: Outcome) -> Burst:
    """Two calm seconds at 100 ms, a burst from 2 to 4, and what is given."""
    calm = [outcome(0.5), outcome(1.5)]
    during = [outcome(2.5, 3.0), outcome(3.5, status=429)]
    return Burst(make_report([*calm, *during, *after], {}), 5, 2.0, 4.0)


def test_burst_that_leaves_nothing_is_over_at_once() -> None:
    assert recovery_s(make_burst(outcome(4.5), outcome(5.5))) == 0.0


@pytest.mark.parametrize(
    "bad", [outcome(6.5, 0.25), outcome(6.5, status=429), outcome(6.5, status=500)]
)
def test_burst_is_over_after_the_last_second_that_is_not_as_before(bad: Outcome) -> None:
    assert recovery_s(make_burst(outcome(4.5), outcome(5.5), bad, outcome(7.5))) == 3.0


def test_burst_that_never_ends_has_no_recovery() -> None:
    assert recovery_s(make_burst(outcome(4.5), outcome(5.5, 2.0))) is None
    assert recovery_s(make_burst()) is None


def test_seconds_of_the_burst_are_its_own() -> None:
    assert [one.second for one in make_burst(outcome(4.5)).during] == [2, 3]
