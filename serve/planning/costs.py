"""What a replica's work costs, as measured, and as the simulation reads it.

A decoding step costs something in any case, something for each layer that any row runs (its weights
are read once), something for each row, something for each layer of each row, and more for a layer
that a row visits first: there the keys and values of its memory are computed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field
from scipy.optimize import nnls

from serve.load.report import Frozen, Machine


class StepCost(Frozen):
    """Milliseconds of a decoding step."""

    base_ms: float = Field(ge=0)
    layer_ms: float = Field(ge=0)
    row_ms: float = Field(ge=0)
    row_layer_ms: float = Field(ge=0)
    new_layer_ms: float = Field(default=0.0, ge=0)

    def ms(self, depths: Sequence[int], num_new: int = 0) -> float:
        """Of a step whose rows leave at these depths, and visit so many layers first."""
        return float(np.dot(features_of(depths, num_new), self.as_tuple()))

    def as_tuple(self) -> tuple[float, ...]:
        """All of them, in the order of ``features_of``."""
        return self.base_ms, self.layer_ms, self.row_ms, self.row_layer_ms, self.new_layer_ms


class Step(NamedTuple):
    """A measured step: the depths at which its rows left, layers that rows visited first, ms."""

    depths: Sequence[int]
    num_new: int
    ms: float


def num_new_layers(depths: Sequence[int], reached: Sequence[int]) -> int:
    """How many layers rows visit first that leave at ``depths`` and had ``reached`` others."""
    return sum(max(0, depth - before) for depth, before in zip(depths, reached, strict=True))


class AdmitCost(Frozen):
    """Milliseconds of encoding requests together."""

    base_ms: float = Field(ge=0)
    row_ms: float = Field(ge=0)


class TaskCost(Frozen):
    """One task: what admitting it costs, and the depths of the tokens of measured answers."""

    admit: AdmitCost
    answers: list[list[int]] = Field(min_length=1)


class Costs(Frozen):
    """Everything that the simulation knows of a service.

    Attributes:
        policy: Preset that was measured.
        step: Of the decoder.
        tasks: By name.
        way_ms: HTTP, Ray and decoding of the photo: what an answer takes beside the engine.
        handling_ms: How much of that keeps a busy engine from its work, per request.
        beside_ms: Processor time per request of everything beside a busy engine: HTTP, Ray, and the
            client where it runs on the same machine.
        cached_ms: An answer from the cache.
        request_bytes: Of a request, on average.
        answer_bytes: Of an answer, on average.
        fit_error: Mean relative error of ``step`` on the steps it was fitted to.
        conditions: How it was measured.
        machine: Where.
        commit: Of the code.
    """

    policy: str
    step: StepCost
    tasks: dict[str, TaskCost]
    way_ms: float = 0.0
    handling_ms: float = 0.0
    beside_ms: float = 0.0
    cached_ms: float = 0.0
    request_bytes: float = 0.0
    answer_bytes: float = 0.0
    fit_error: float = 0.0
    conditions: dict[str, Any] = Field(default_factory=dict)
    machine: Machine | None = None
    commit: str = ""


def features_of(depths: Sequence[int], num_new: int) -> tuple[float, ...]:
    """What a step's cost is linear in: 1, its deepest layer, its rows, all their layers, and those
    that are visited first.
    """
    return 1.0, float(max(depths)), float(len(depths)), float(sum(depths)), float(num_new)


def fit_step_cost(steps: Sequence[Step]) -> tuple[StepCost, float]:
    """The costs that explain measured steps best, none below 0, and their mean relative error."""
    if not steps:
        raise ValueError("there is no step to fit costs to")
    features = np.array([features_of(step.depths, step.num_new) for step in steps])
    times = np.array([step.ms for step in steps])
    # A mean, not a median, is what a queue waits for; short steps matter as much as long ones.
    found, _ = nnls(features / np.sqrt(times)[:, None], np.sqrt(times))
    error = float(np.mean(np.abs(features @ found / times - 1.0)))
    base_ms, layer_ms, row_ms, row_layer_ms, new_layer_ms = (float(value) for value in found)
    cost = StepCost(
        base_ms=base_ms,
        layer_ms=layer_ms,
        row_ms=row_ms,
        row_layer_ms=row_layer_ms,
        new_layer_ms=new_layer_ms,
    )
    return cost, error


def fit_admit_cost(times: Sequence[tuple[int, float]]) -> AdmitCost:
    """The costs that explain measured admissions best: rows, and milliseconds."""
    rows = np.array([(1.0, float(num)) for num, _ in times])
    ms = np.array([value for _, value in times])
    base_ms, row_ms = nnls(rows / ms[:, None], np.ones(len(ms)))[0]
    return AdmitCost(base_ms=float(base_ms), row_ms=float(row_ms))
