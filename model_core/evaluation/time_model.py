"""Milliseconds of an answer, foretold from what it ran.

Timing every setting of a search takes long, and on a busy machine the noise is larger than the
differences. So the parts of an answer are priced once, on this machine: a few settings answer the
same photos one by one, interleaved, and least squares give each part its milliseconds. The time of
any setting then follows from its counts. Times are of encoder and decoder at batch size 1, without
the stem; the settings that are chosen are measured directly afterwards.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from model_core.config import ExitConfig
from model_core.evaluation.answer_counts import ANSWERS, Counts, time_parts
from model_core.evaluation.grids import DECODER_KINDS, ENCODER_KINDS, policies_of
from model_core.evaluation.workload import Workload
from model_core.policies import FixedDepthPolicy
from model_core.policy_heads import usable_kinds
from model_core.predictor import answer_all

NUM_PRICED = 8
NUM_REPEATS = 2  # the faster one counts: what disturbs a measurement only makes it slower


@dataclass(frozen=True)
class TimeModel:
    """Milliseconds of each part of an answer.

    Attributes:
        part_ms: By the names of ``time_parts``.
        mean_error: Mean absolute error of its answers' times, as a share of their mean.
        num_measured: Answers that were timed.
    """

    part_ms: Mapping[str, float]
    mean_error: float
    num_measured: int

    def ms(self, parts: Counts) -> float:
        """Mean milliseconds of an answer; ``parts`` may be sums over several.

        Raises:
            ValueError: A part was not priced.
        """
        unknown = [name for name, count in parts.items() if count and name not in self.part_ms]
        if unknown:
            raise ValueError(
                f"part {unknown[0]!r} has no price: it did not run when times were taken"
            )
        total = sum(count * self.part_ms[name] for name, count in parts.items() if count)
        return total / parts[ANSWERS]


def fit_time_model(parts: Sequence[Counts], ms: Sequence[float]) -> TimeModel:
    """The prices that explain measured times best; none is negative.

    Parts that always ran equally often share their price by the least squares of smallest norm,
    which foretells the same for whatever keeps to that proportion.

    Args:
        parts: ``time_parts`` of each answer.
        ms: Its milliseconds.
    """
    names = list(dict.fromkeys(name for counts in parts for name, count in counts.items() if count))
    table = np.array([[counts.get(name, 0) for name in names] for counts in parts], dtype=float)
    wanted = np.asarray(ms, dtype=float)
    prices = _nonnegative_least_squares(table, wanted)
    errors = np.abs(table @ prices - wanted)
    return TimeModel(
        part_ms=dict(zip(names, prices.tolist(), strict=True)),
        mean_error=float(errors.mean() / wanted.mean()),
        num_measured=len(wanted),
    )


def _nonnegative_least_squares(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Least squares, columns with negative weights left out one after the other."""
    scale = table.max(axis=0)
    kept = list(range(table.shape[1]))
    while True:
        weights = np.linalg.lstsq(table[:, kept] / scale[kept], wanted, rcond=None)[0]
        worst = int(weights.argmin())
        if weights[worst] >= 0:
            break
        del kept[worst]
    prices = np.zeros(table.shape[1])
    prices[kept] = weights / scale[kept]
    return prices


def measure_time_model(workload: Workload, num_photos: int = NUM_PRICED) -> TimeModel:
    """Answer some examples under settings that together run every part, and price the parts."""
    settings = priced_settings(workload)
    slots = workload.predictor.new_slots(1)
    answer_all(slots, [workload.request(workload.examples[0], ExitConfig())])  # warm-up
    console = Console(stderr=True)
    is_silent = not console.is_terminal
    examples = workload.examples[:num_photos]
    parts: list[Counts] = []
    times: list[float] = []
    for example in track(examples, "times", console=console, transient=True, disable=is_silent):
        best: dict[int, float] = {}
        for number, exits in NUM_REPEATS * list(enumerate(settings)):
            answer = answer_all(slots, [workload.request(example, exits)])[0]
            stages = answer.trace.cost.stage_ms
            if number not in best:
                parts.append(time_parts(exits, answer))
            best[number] = min(stages.encode + stages.decode, best.get(number, math.inf))
        times += best.values()
    return fit_time_model(parts, times)


def priced_settings(workload: Workload) -> list[ExitConfig]:
    """Full depth, a shallow and a middle depth at each site, and every kind of score."""
    info = workload.predictor.info
    decoder, encoder = info.num_decoder_layers, info.num_encoder_layers
    settings = [ExitConfig()]
    first = info.first_exit_depth
    settings += [ExitConfig(decoder=policy) for policy in _shallow_and_middle(decoder, first)]
    settings += [ExitConfig(image=policy) for policy in _shallow_and_middle(encoder)]
    if info.tasks[workload.task].takes_text:
        settings += [ExitConfig(text=policy) for policy in _shallow_and_middle(encoder)]
    for kind in usable_kinds(DECODER_KINDS, info.learned_kinds):
        policies = policies_of(kind, decoder, first)
        safe_and_cheap = dict.fromkeys([*policies[:1], *policies[-1:]])
        settings += [ExitConfig(decoder=policy) for policy in safe_and_cheap]
    for kind in ENCODER_KINDS:
        safe, *_ = policies_of(kind, encoder)
        settings.append(ExitConfig(image=safe, text=safe))
    return settings


def _shallow_and_middle(num_layers: int, first_exit: int = 1) -> list[FixedDepthPolicy]:
    depths = dict.fromkeys((first_exit, (first_exit + num_layers) // 2))
    return [FixedDepthPolicy(depth=depth) for depth in depths]
