"""One setting tried on some examples: what it keeps of full depth's quality, and what it saves."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from model_core.config import ExitConfig
from model_core.errors import ConfigError, InputError
from model_core.evaluation.benchmark import benchmark
from model_core.evaluation.evaluate import MeanDepth, Saving, mean_depth, saving
from model_core.evaluation.grids import describe_exits
from model_core.evaluation.metrics import relative_saving
from model_core.evaluation.statistics import (
    KeptShare,
    kept_by_bootstrap,
    kept_by_losses,
    resample_weights,
)
from model_core.evaluation.workload import Workload
from model_core.types import Answer

logger = logging.getLogger(__name__)

NUM_TIMED = 32


class CostMeasure(StrEnum):
    """What calibration minimises.

    ``flops`` and ``layers`` are counted and the same on every machine; ``wall`` is the median time
    of encoder and decoder of single answers, measured beside full depth.
    """

    FLOPS = "flops"
    LAYERS = "layers"
    WALL = "wall"


@dataclass(frozen=True)
class Goal:
    """What a setting has to keep, how sure that must be, and the cost that counts.

    Attributes:
        target: Share of full depth's quality, above 0 and below 1.
        confidence: That the chosen setting keeps it, above 0 and below 1.
        cost: The measure that is minimised.
    """

    target: float
    confidence: float
    cost: CostMeasure = CostMeasure.FLOPS

    def __post_init__(self) -> None:
        """Refuse shares out of range with a ``ConfigError``."""
        for name in ("target", "confidence"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ConfigError(f"{name}: {value} must be above 0 and below 1")


@dataclass(frozen=True)
class Trial:
    """A setting on one part of the split.

    Attributes:
        setting: The exits in words.
        exits: The exits.
        quality: CIDEr of captions, accuracy of labels.
        kept: Share of full depth's quality.
        cost_saved: Share of the cost of full depth's own answers, by the goal's measure.
        saving: Layers and operations, answer by answer.
        mean_depth: Of image, text and tokens.
    """

    setting: str
    exits: ExitConfig
    quality: float
    kept: KeptShare
    cost_saved: float
    saving: Saving
    mean_depth: MeanDepth


class Part:
    """Some examples, answered at full depth once and under any setting on demand."""

    def __init__(self, name: str, workload: Workload, goal: Goal, seed: int) -> None:
        """Answer the examples at full depth.

        Raises:
            InputError: Full depth scores 0 on them.
        """
        self._name, self._workload, self._goal = name, workload, goal
        self._num_trials = 0
        self._full = workload.answer(ExitConfig(), f"{name}: full depth")
        self._scores = workload.scores(self._full)
        if self.quality <= 0:
            raise InputError(
                f"full depth scores 0 on the {len(self._scores)} examples of the {name} part: "
                "there is no quality to keep; use more examples or another checkpoint"
            )
        invented = object()  # the worst case that ``kept_by_bootstrap`` adds
        photos = [example.image for example in workload.examples]
        self._weights = resample_weights([*photos, invented], seed)

    @property
    def quality(self) -> float:
        """Quality at full depth."""
        return float(self._scores.mean())

    @property
    def num_informative(self) -> int:
        """Examples that can show a loss: all photos, or the labels that full depth gets right."""
        return int(self._scores.sum()) if self._workload.has_labels else len(self._scores)

    @property
    def kept_by_no_change(self) -> KeptShare:
        """What a setting keeps that changes no answer: nothing can be shown to be safer."""
        return self._kept(self._scores)

    def run(self, exits: ExitConfig) -> Trial:
        """The trial of ``exits``."""
        self._num_trials += 1
        setting = describe_exits(exits)
        answers = self._workload.answer(exits, f"{self._name} {self._num_trials}: {setting}")
        scores = self._workload.scores(answers)
        trial = Trial(
            setting=setting,
            exits=exits,
            quality=float(scores.mean()),
            kept=self._kept(scores),
            cost_saved=self._cost_saved(exits, answers),
            saving=saving(answers),
            mean_depth=mean_depth(answers),
        )
        logger.info(
            "%s %d: %s  keeps %.4f (at least %.4f), saves %.1f %%",
            *(self._name, self._num_trials, setting),
            *(trial.kept.estimate, trial.kept.lower, 100 * trial.cost_saved),
        )
        return trial

    def _kept(self, scores: np.ndarray) -> KeptShare:
        if self._workload.has_labels:
            return kept_by_losses(self._scores, scores, self._goal.confidence)
        return kept_by_bootstrap(self._scores, scores, self._weights, self._goal.confidence)

    def _cost_saved(self, exits: ExitConfig, answers: Sequence[Answer]) -> float:
        if self._goal.cost is CostMeasure.LAYERS:
            return saving(answers).layers
        if self._goal.cost is CostMeasure.FLOPS:
            # Of full depth's own answers: exits that make captions longer do not count as saving.
            return relative_saving(_flops(answers), _flops(self._full))
        workload = self._workload
        timed = workload.examples[:NUM_TIMED]
        measured = benchmark(workload.predictor, workload.task, timed, {"setting": exits}, [1])
        return measured.rows[0].saving.wall_without_stem


def _flops(answers: Sequence[Answer]) -> int:
    return sum(answer.trace.cost.flops for answer in answers)
