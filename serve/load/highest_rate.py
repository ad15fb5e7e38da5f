"""The highest rate that a service stands: doubled until it fails, then narrowed down."""

from collections.abc import Callable
from dataclasses import dataclass

from serve.load.report import LoadReport

MAX_REFUSED_FRACTION = 0.001


@dataclass(frozen=True)
class Bound:
    """When a rate counts as stood.

    Attributes:
        p95_ms: The answers' p95 stays below.
        tolerance: Relative width at which the search ends.
    """

    p95_ms: float
    tolerance: float = 0.05

    def holds(self, report: LoadReport) -> bool:
        """True when nearly every call was answered, and the answers were fast enough."""
        latencies = report.total.latencies
        lost = report.total.num_refused + report.total.num_failed
        is_answered = lost <= MAX_REFUSED_FRACTION * report.total.num
        return is_answered and latencies is not None and latencies.p95_ms < self.p95_ms


def highest_rate(
    measure: Callable[[float], LoadReport], start_rate: float, bound: Bound
) -> tuple[float, LoadReport | None]:
    """The highest rate found to hold, and its report; 0 and None when even a 64th of the start
    does not.

    Args:
        measure: Runs one rate (requests per second).
        start_rate: Where to begin; a rate that is too high is halved.
        bound: What has to hold.
    """
    if start_rate <= 0:
        raise ValueError(f"start_rate {start_rate:g} must be above 0")
    rate, low, high, best = start_rate, 0.0, float("inf"), None
    while high > low * (1 + bound.tolerance) and rate >= start_rate / 64:
        report = measure(rate)
        if bound.holds(report):
            low, best = rate, report
        else:
            high = rate
        rate = low * 2 if high == float("inf") else (low + high) / 2
    return low, best
