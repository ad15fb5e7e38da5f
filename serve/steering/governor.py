"""Depth gives way before requests do: how much pressure the queue puts on the presets.

The engine tells how long the request at the head of its queue has waited. While that is long the
pressure rises, quickly; once it is short the pressure falls, slowly. A pressure of n means n steps
towards cheaper presets, for requests that allow it (``serve/steering/preset_choice.py``).
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from serve.policies.preset_order import PRESET_ORDER

MAX_LEVEL = len(PRESET_ORDER) - 1


@dataclass(frozen=True)
class GovernorLimits:
    """When the pressure changes.

    Attributes:
        high_delay_s: Smoothed delay above which it rises.
        low_delay_s: Smoothed delay below which it falls; between the two it stays.
        raise_every_s: Least time between two rises, so that each can show its effect.
        lower_after_s: How long the delay has to be low before each fall.
        smoothing_s: Time constant of the smoothing.
    """

    high_delay_s: float = 0.25
    low_delay_s: float = 0.05
    raise_every_s: float = 0.5
    lower_after_s: float = 5.0
    smoothing_s: float = 0.2


@dataclass(frozen=True)
class Pressure:
    """What the governor knows at ``at_s``.

    Attributes:
        at_s: When the last delay was heard.
        delay_s: That delay.
        smoothed_s: The smoothed delay.
        level: Steps towards cheaper presets.
        raised_at_s: Of the last rise.
        calm_since_s: Since when the delay is low, counted anew with each fall; None while it is
            not.
    """

    at_s: float
    delay_s: float = 0.0
    smoothed_s: float = 0.0
    level: int = 0
    raised_at_s: float = -math.inf
    calm_since_s: float | None = None


def next_pressure(
    pressure: Pressure, delay_s: float, now_s: float, limits: GovernorLimits
) -> Pressure:
    """The pressure after a delay was heard; until then the delay before it is taken to have lasted.

    Args:
        pressure: After the delay before.
        delay_s: How long the head of the queue has waited; 0 when nobody waits.
        now_s: The time; not before ``pressure.at_s``.
        limits: When to change.
    """
    passed = now_s - pressure.at_s
    kept = math.exp(-passed / limits.smoothing_s)
    smoothed = kept * pressure.smoothed_s + (1 - kept) * pressure.delay_s
    heard = replace(pressure, at_s=now_s, delay_s=delay_s, smoothed_s=smoothed)
    if smoothed > limits.high_delay_s:
        return _raised(replace(heard, calm_since_s=None), limits)
    if smoothed > limits.low_delay_s:
        return replace(heard, calm_since_s=None)
    return _lowered(heard, limits)


def _raised(pressure: Pressure, limits: GovernorLimits) -> Pressure:
    if pressure.at_s - pressure.raised_at_s < limits.raise_every_s:
        return pressure
    level = min(pressure.level + 1, MAX_LEVEL)
    return replace(pressure, level=level, raised_at_s=pressure.at_s)


def _lowered(pressure: Pressure, limits: GovernorLimits) -> Pressure:
    """One level less for each ``lower_after_s`` of calm; a long silence may count several."""
    if pressure.level == 0:
        return replace(pressure, calm_since_s=None)
    since_s = pressure.at_s if pressure.calm_since_s is None else pressure.calm_since_s
    num_falls = int((pressure.at_s - since_s) / limits.lower_after_s)
    return replace(
        pressure,
        level=max(0, pressure.level - num_falls),
        calm_since_s=since_s + num_falls * limits.lower_after_s,
    )


class Governor:
    """Keeps the pressure of one engine; hears delays in its thread, is asked from any other."""

    def __init__(
        self, limits: GovernorLimits, is_on: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Off, the pressure is always 0."""
        self.is_on = is_on
        self._limits = limits
        self._clock = clock
        self._pressure = Pressure(at_s=clock())

    def hear(self, delay_s: float) -> None:
        """Takes in how long the head of the queue has waited."""
        if self.is_on:
            self._pressure = next_pressure(self._pressure, delay_s, self._clock(), self._limits)

    @property
    def pressure(self) -> Pressure:
        """The pressure now, the last delay having lasted until now."""
        known = self._pressure
        now = max(self._clock(), known.at_s)
        return next_pressure(known, known.delay_s, now, self._limits) if self.is_on else known
