"""What is broken when, and whether memory grew."""

import pytest

from tools.soak.memory import Sample, growth, minute_medians
from tools.soak.timetable import Change, timetable


def test_ten_minutes_have_ten_kills_and_two_outages() -> None:
    events = timetable(600.0)
    assert [one.at_s for one in events if one.what is Change.KILL] == [
        30 + 60 * n for n in range(10)
    ]
    downs = [one.at_s for one in events if one.what is Change.REDIS_DOWN]
    assert downs == [200.0, 400.0]
    assert [one.at_s for one in events if one.what is Change.REDIS_UP] == [205.0, 405.0]
    assert events == sorted(events, key=lambda one: one.at_s)


def test_one_minute_has_one_kill_and_both_outages() -> None:
    assert [(one.at_s, one.what) for one in timetable(60.0)] == [
        (20.0, Change.REDIS_DOWN),
        (25.0, Change.REDIS_UP),
        (30.0, Change.KILL),
        (40.0, Change.REDIS_DOWN),
        (45.0, Change.REDIS_UP),
    ]


def test_behind_a_proxy_redis_is_slow_and_then_silent_as_well() -> None:
    added = set(timetable(600.0, has_proxy=True)) - set(timetable(600.0))
    assert sorted((one.at_s, one.what) for one in added) == [
        (pytest.approx(100.0), Change.REDIS_SLOW),
        (pytest.approx(160.0), Change.REDIS_WELL),
        (pytest.approx(500.0), Change.REDIS_SILENT),
        (pytest.approx(560.0), Change.REDIS_WELL),
    ]


def test_minutes_are_medians_of_their_samples() -> None:
    samples = [Sample(0.0, 10.0), Sample(30.0, 500.0), Sample(59.0, 20.0), Sample(60.0, 7.0)]
    assert minute_medians(samples) == [20.0, 7.0]


def test_growth_is_from_the_third_minute_to_the_last() -> None:
    assert growth([1.0, 5.0, 100.0, 90.0, 104.0]) == pytest.approx(0.04)


def test_short_run_has_no_growth() -> None:
    assert growth([1.0, 5.0, 100.0]) is None
