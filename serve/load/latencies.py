"""Latencies in a few numbers, by nearest rank: every percentile is a latency that occurred."""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class Latencies(BaseModel):
    """Milliseconds from when calls were due to the end of their answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latencies | None":
        """The summary; None of nothing."""
        if not seconds:
            return None
        ms = sorted(1e3 * value for value in seconds)
        return cls(
            num=len(ms),
            mean_ms=sum(ms) / len(ms),
            p50_ms=percentile(ms, 0.50),
            p90_ms=percentile(ms, 0.90),
            p95_ms=percentile(ms, 0.95),
            p99_ms=percentile(ms, 0.99),
            max_ms=ms[-1],
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed.

    Raises:
        ValueError: There is no value, or the share is not within (0, 1].
    """
    if not values or not 0 < share <= 1:
        raise ValueError(f"percentile {share:g} of {len(values)} values does not exist")
    rank = math.ceil(round(share * len(values), 9))  # 0.95 * 20 is a little above 19
    return sorted(values)[rank - 1]
