"""One setting tried on some examples: what it keeps of full depth's quality, and what it saves."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from model_core.config import ExitConfig
from model_core.errors import ConfigError, InputError
from model_core.evaluation.answer_counts import ANSWERS, AnswerCounts
from model_core.evaluation.answer_record import AnswerRecord
from model_core.evaluation.evaluate import MeanDepth, Saving
from model_core.evaluation.grids import describe_exits
from model_core.evaluation.likelihood import KeptShare, PairedScores
from model_core.evaluation.metrics import example_scores, relative_saving
from model_core.evaluation.time_model import TimeModel

logger = logging.getLogger(__name__)


class CostMeasure(StrEnum):
    """What calibration minimises.

    ``wall`` is the time of encoder and decoder of single answers, foretold by a ``TimeModel`` that
    was measured on this machine; ``flops`` and ``layers`` are counted, the same on every machine.
    """

    WALL = "wall"
    FLOPS = "flops"
    LAYERS = "layers"


@dataclass(frozen=True)
class Goal:
    """What settings have to keep, how sure that must be, and the cost that counts.

    Attributes:
        targets: Shares of full depth's quality, each above 0 and below 1; each gets a setting and a
            guarantee of its own.
        confidence: That a chosen setting keeps its target, above 0 and below 1.
        cost: The measure that is minimised.
    """

    targets: tuple[float, ...]
    confidence: float
    cost: CostMeasure = CostMeasure.WALL

    def __post_init__(self) -> None:
        """Refuse shares out of range, and no target at all, with a ``ConfigError``."""
        if not self.targets:
            raise ConfigError("target: at least one is needed")
        for name, value in [
            *(("target", one) for one in self.targets),
            ("confidence", self.confidence),
        ]:
            if not 0 < value < 1:
                raise ConfigError(f"{name}: {value} must be above 0 and below 1")


@dataclass(frozen=True)
class Trial:
    """A setting on some examples of one part.

    Attributes:
        setting: The exits in words.
        exits: The exits.
        num_examples: Examples it was tried on.
        quality: CIDEr of captions, accuracy of labels.
        kept: Share of full depth's quality.
        evidence: By target, in the goal's order: standard errors by which more than the target was
            kept (``PairedScores.evidence``).
        cost_saved: Share of the cost of full depth's own answers, by the goal's measure.
        saving: Layers and operations, answer by answer.
        mean_depth: Of image, text and tokens.
    """

    setting: str
    exits: ExitConfig
    num_examples: int
    quality: float
    kept: KeptShare
    evidence: tuple[float, ...]
    cost_saved: float
    saving: Saving
    mean_depth: MeanDepth


class Part:
    """Some examples, answered at full depth once and under any setting on demand."""

    def __init__(
        self, name: str, record: AnswerRecord, goal: Goal, time_model: TimeModel | None = None
    ) -> None:
        """Answer the examples at full depth.

        Args:
            name: For messages.
            record: The examples and what is known of their answers.
            goal: Its confidence, targets and cost measure are those of the trials.
            time_model: Prices for the measure ``wall``.

        Raises:
            InputError: Full depth scores 0 on them.
        """
        self._name, self._record, self._goal, self._time_model = name, record, goal, time_model
        self._num_trials = 0
        self._scores: dict[tuple[ExitConfig, int], np.ndarray] = {}
        self.quality = float(self.scores(ExitConfig()).mean())
        if self.quality <= 0:
            raise InputError(
                f"full depth scores 0 on the {record.num_examples} examples of the {name} part: "
                "there is no quality to keep; use more examples or another checkpoint"
            )

    @property
    def num_examples(self) -> int:
        """Examples of the part."""
        return self._record.num_examples

    @property
    def num_photos(self) -> int:
        """Photos of the part: the independent observations."""
        return len(set(self._photos(self.num_examples)))

    def scores(self, exits: ExitConfig, limit: int | None = None) -> np.ndarray:
        """``(N,)`` what each answer scores, among the first ``limit`` examples (whole chunks)."""
        texts = self._record.answers(exits, self._label(exits), limit).texts
        key = exits, len(texts)
        if key not in self._scores:
            workload = self._record.workload
            references = [example.references for example in workload.examples[: len(texts)]]
            self._scores[key] = example_scores(workload.metric, texts, references)
        return self._scores[key]

    def run(self, exits: ExitConfig, limit: int | None = None) -> Trial:
        """The trial of ``exits`` on the first ``limit`` examples (whole chunks); None means all."""
        self._num_trials += 1
        scores = self.scores(exits, limit)
        counts = self._record.answers(exits, "", limit).counts
        pairs = self.pairs(scores)
        trial = Trial(
            setting=describe_exits(exits),
            exits=exits,
            num_examples=len(scores),
            quality=float(scores.mean()),
            kept=pairs.kept(self._goal.confidence),
            evidence=tuple(pairs.evidence(target) for target in self._goal.targets),
            cost_saved=self._cost_saved(counts, limit),
            saving=counts.saving,
            mean_depth=counts.mean_depth,
        )
        logger.info(
            "%s %d: %s  keeps %.4f (at least %.4f), saves %.1f %%",
            *(self._name, self._num_trials, trial.setting),
            *(trial.kept.estimate, trial.kept.lower, 100 * trial.cost_saved),
        )
        return trial

    def pairs(self, scores: np.ndarray) -> PairedScores:
        """``(N,)`` scores of the first N examples beside full depth's, by photo."""
        full = self.scores(ExitConfig(), len(scores))
        return PairedScores.of_examples(full, scores, self._photos(len(scores)))

    def _photos(self, count: int) -> Sequence[object]:
        return [example.image for example in self._record.workload.examples[:count]]

    def _label(self, exits: ExitConfig) -> str:
        return f"{self._name} {self._num_trials}: {describe_exits(exits)}"

    def _cost_saved(self, counts: AnswerCounts, limit: int | None) -> float:
        if self._goal.cost is CostMeasure.LAYERS:
            return counts.saving.layers
        # Of full depth's own answers: exits that make captions longer do not count as saving.
        full = self._record.answers(ExitConfig(), "", limit).counts
        return relative_saving(self._cost(counts), self._cost(full))

    def _cost(self, counts: AnswerCounts) -> float:
        if self._time_model is not None:
            return self._time_model.ms(counts.parts)
        return counts.totals["flops"] / counts.parts[ANSWERS]
