"""The governor's decision on delays made by hand."""

import math

import pytest

from serve.steering.governor import MAX_LEVEL, Governor, GovernorLimits, Pressure, next_pressure

LIMITS = GovernorLimits(
    high_delay_s=1.0, low_delay_s=0.2, raise_every_s=1.0, lower_after_s=5.0, smoothing_s=0.01
)


def run(*heard: tuple[float, float]) -> list[int]:
    """The level after each delay of a list of (time, delay); smoothing hardly plays a part."""
    pressure, levels = Pressure(at_s=0.0), []
    for now_s, delay_s in heard:
        pressure = next_pressure(pressure, delay_s, now_s, LIMITS)
        levels.append(pressure.level)
    return levels


def test_long_delay_raises_one_level_at_a_time() -> None:
    # The first delay is heard at 1 s and has lasted for 0.2 s when the second is heard.
    assert run((1.0, 2.0), (1.2, 2.0), (1.7, 2.0), (2.2, 2.0), (3.2, 2.0)) == [0, 1, 1, 2, 3]


def test_pressure_ends_at_the_cheapest_preset() -> None:
    levels = run(*((float(second), 9.0) for second in range(1, 20)))
    assert levels[-1] == MAX_LEVEL == 3


def test_delay_between_the_limits_changes_nothing() -> None:
    raised = ((1.0, 2.0), (2.0, 0.5))
    between = tuple((float(second), 0.5) for second in range(3, 60))
    assert set(run(*raised, *between)[1:]) == {1}


def test_calm_lowers_slowly() -> None:
    raised = ((1.0, 2.0), (2.0, 2.0), (3.0, 0.0))
    # Calm from the next delay on: one level less five seconds later, and five after that.
    assert run(*raised, (4.0, 0.0), (8.9, 0.0), (9.1, 0.0), (13.9, 0.0), (14.1, 0.0)) == [
        *(0, 1, 2),
        *(2, 2, 1, 1, 0),
    ]


def test_a_new_delay_starts_the_calm_anew() -> None:
    raised = ((1.0, 2.0), (2.0, 0.0))
    assert run(*raised, (3.0, 0.0), (7.0, 0.5), (7.5, 0.0), (8.0, 0.0), (12.0, 0.0))[-1] == 1


def test_silence_counts_as_what_was_heard_last() -> None:
    raised = ((1.0, 2.0), (2.0, 2.0), (3.0, 0.0), (4.0, 0.0))
    assert run(*raised, (60.0, 0.0))[-1] == 0


def test_one_long_delay_among_short_ones_is_smoothed_away() -> None:
    limits = GovernorLimits(high_delay_s=1.0, low_delay_s=0.2, smoothing_s=1.0)
    pressure = next_pressure(Pressure(at_s=0.0), 2.0, 0.0, limits)
    pressure = next_pressure(pressure, 0.0, 0.1, limits)
    assert pressure.smoothed_s == pytest.approx(2.0 * (1 - math.exp(-0.1)))
    assert pressure.level == 0


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_governor_keeps_what_it_hears_and_lowers_without_hearing_more() -> None:
    clock = Clock()
    governor = Governor(LIMITS, is_on=True, clock=clock)
    for clock.now_s in (1.0, 2.0, 3.0):
        governor.hear(2.0 if clock.now_s < 3.0 else 0.0)
    assert governor.pressure.level == 2
    clock.now_s = 4.0
    governor.hear(0.0)
    clock.now_s = 9.5
    assert governor.pressure.level == 1


def test_governor_that_is_off_never_presses() -> None:
    clock = Clock()
    governor = Governor(LIMITS, is_on=False, clock=clock)
    for clock.now_s in (1.0, 2.0, 3.0):
        governor.hear(9.0)
    assert governor.pressure.level == 0
