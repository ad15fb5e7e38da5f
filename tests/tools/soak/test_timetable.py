"""What is broken when, and whether memory grew."""

import pytest

from tools.soak.memory import Sample, growth, minute_medians
from tools.soak.timetable import timetable


def test_ten_minutes_have_ten_kills_and_two_outages() -> None:
    events = timetable(600.0)
    assert [one.at_s for one in events if one.what == "kill"] == [30 + 60 * n for n in range(10)]
    downs = [one.at_s for one in events if one.what == "redis down"]
    assert downs == [200.0, 400.0]
    assert [one.at_s for one in events if one.what == "redis up"] == [205.0, 405.0]
    assert events == sorted(events, key=lambda one: one.at_s)


def test_one_minute_has_one_kill_and_both_outages() -> None:
    assert [(one.at_s, one.what) for one in timetable(60.0)] == [
        (20.0, "redis down"),
        (25.0, "redis up"),
        (30.0, "kill"),
        (40.0, "redis down"),
        (45.0, "redis up"),
    ]


def test_minutes_are_medians_of_their_samples() -> None:
    samples = [Sample(0.0, 10.0), Sample(30.0, 500.0), Sample(59.0, 20.0), Sample(60.0, 7.0)]
    assert minute_medians(samples) == [20.0, 7.0]


def test_growth_is_from_the_third_minute_to_the_last() -> None:
    assert growth([1.0, 5.0, 100.0, 90.0, 104.0]) == pytest.approx(0.04)


def test_short_run_has_no_growth() -> None:
    assert growth([1.0, 5.0, 100.0]) is None
