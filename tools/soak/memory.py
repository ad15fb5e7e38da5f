"""Whether memory grows: the median of the last minute beside that of the third."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

THIRD = 2
MAX_GROWTH = 0.05


@dataclass(frozen=True)
class Sample:
    """Resident memory at a time of the soak."""

    at_s: float
    mib: float


def minute_medians(samples: Sequence[Sample]) -> list[float]:
    """The median of every minute; medians, because killed replicas come and go."""
    minutes: dict[int, list[float]] = {}
    for sample in samples:
        minutes.setdefault(int(sample.at_s // 60), []).append(sample.mib)
    return [statistics.median(values) for _, values in sorted(minutes.items())]


def growth(medians: Sequence[float]) -> float | None:
    """Growth from the third minute to the last; None for a run that has no minute after it."""
    if len(medians) <= THIRD + 1:
        return None
    return medians[-1] / medians[THIRD] - 1
