"""The highest rate that a service stands: doubled until it fails, then narrowed down."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from serve.load.report import LoadReport

MAX_REFUSED_FRACTION = 0.001
TOLERANCE = 0.05

Run = TypeVar("Run")


class Found(NamedTuple, Generic[Run]):
    """The highest rate that held, and its run; 0 and None where none did."""

    rate: float
    run: Run | None


@dataclass(frozen=True)
class Bound:
    """When a rate counts as stood.

    Attributes:
        p95_ms: The answers' p95 stays below.
    """

    p95_ms: float

    def holds(self, report: LoadReport) -> bool:
        """True when nearly every call was answered, and the answers were fast enough."""
        latencies = report.total.latencies
        lost = report.total.num_refused + report.total.num_failed
        is_answered = lost <= MAX_REFUSED_FRACTION * report.total.num
        return is_answered and latencies is not None and latencies.p95_ms < self.p95_ms


def highest_rate(
    measure: Callable[[float], Run],
    start_rate: float,
    holds: Callable[[Run], bool],
    tolerance: float = TOLERANCE,
) -> Found[Run]:
    """The highest rate found to hold; none when even a 64th of the start does not.

    Args:
        measure: Runs one rate (requests per second).
        start_rate: Where to begin; a rate that is too high is halved.
        holds: Whether a run shows that its rate is stood.
        tolerance: Relative width at which the search ends.
    """
    if start_rate <= 0:
        raise ValueError(f"start_rate {start_rate:g} must be above 0")
    rate, low, high = start_rate, 0.0, float("inf")
    best: Run | None = None
    while high > low * (1 + tolerance) and rate >= start_rate / 64:
        run = measure(rate)
        if holds(run):
            low, best = rate, run
        else:
            high = rate
        rate = low * 2 if high == float("inf") else (low + high) / 2
    return Found(low, best)
