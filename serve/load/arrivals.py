"""When requests arrive and what each asks for: Poisson arrivals in phases, and a mix of tasks.

Everything follows from a seed, so two runs offer the same load.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TASKS = ("caption", "entailment", "tags")


@dataclass(frozen=True)
class Phase:
    """A rate that holds for some time.

    Attributes:
        rate: Requests per second, on average.
        seconds: How long.
    """

    rate: float
    seconds: float

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.seconds > 0):
            raise ValueError(
                f"rate {self.rate:g} and seconds {self.seconds:g} must both be above 0"
            )


def poisson_times(phases: Sequence[Phase], rng: np.random.Generator) -> list[float]:
    """Arrival times in seconds from the start of the first phase, rising.

    Gaps are exponential. A phase starts afresh where the one before it ends, which changes nothing:
    exponential gaps have no memory.
    """
    times: list[float] = []
    start = 0.0
    for phase in phases:
        now = start + rng.exponential(1.0 / phase.rate)
        while now < start + phase.seconds:
            times.append(float(now))
            now += rng.exponential(1.0 / phase.rate)
        start += phase.seconds
    return times


@dataclass(frozen=True)
class Mix:
    """Which share of the requests asks for which task; shares add up to 1."""

    shares: tuple[tuple[str, float], ...]

    @classmethod
    def parse(cls, text: str) -> "Mix":
        """A mix from ``caption=0.7,entailment=0.3``; any positive weights, shares are made of them.

        Raises:
            ValueError: A task is unknown or named twice, or a weight is no positive number.
        """
        weights: dict[str, float] = {}
        for part in text.split(","):
            task, _, weight = part.strip().partition("=")
            if task not in TASKS or task in weights:
                raise ValueError(
                    f"mix {text!r}: {task!r} must be one of {', '.join(TASKS)}, each at most once"
                )
            weights[task] = _positive(weight, text)
        total = sum(weights.values())
        return cls(tuple((task, weight / total) for task, weight in weights.items()))

    def draw(self, num: int, rng: np.random.Generator) -> list[str]:
        """``num`` tasks, each drawn by the shares."""
        names = [task for task, _ in self.shares]
        chosen = rng.choice(len(names), size=num, p=[share for _, share in self.shares])
        return [names[index] for index in chosen]


def _positive(text: str, mix: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"mix {mix!r}: the weight {text!r} must be a number above 0")
    return value
