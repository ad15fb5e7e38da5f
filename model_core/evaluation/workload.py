"""What a study measures: one model on the labelled examples of a task, under any setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from model_core.config import ExitConfig
from model_core.evaluation.encoder_memory import RememberingEncoder
from model_core.evaluation.evaluate import BATCH_SIZE, answer_in_batches
from model_core.evaluation.examples import Example, make_request
from model_core.evaluation.metrics import HEADLINE_METRICS, example_scores
from model_core.generate import Slots
from model_core.predictor import Predictor, answer_all
from model_core.request import Request
from model_core.types import Answer


@dataclass(frozen=True)
class Workload:
    """A model, a task and its examples.

    Attributes:
        predictor: The model.
        task: Name of the task.
        split: Name of the split that the examples are of.
        examples: What is answered.
        features: ``(Ti, C)`` stem features by photo.
    """

    predictor: Predictor
    task: str
    split: str
    examples: Sequence[Example]
    features: Mapping[Path, Tensor]

    @property
    def metric(self) -> str:
        """The metric that ``scores`` average to: ``cider`` or ``accuracy``."""
        return HEADLINE_METRICS[self.predictor.info.tasks[self.task].metric]

    @property
    def has_labels(self) -> bool:
        """True when an answer is right or wrong."""
        return self.metric == "accuracy"

    def part(self, examples: Sequence[Example]) -> "Workload":
        """The same with some of the examples."""
        return replace(self, examples=examples)

    def answer(
        self,
        exits: ExitConfig,
        label: str,
        num_beams: int = 1,
        examples: Sequence[Example] | None = None,
    ) -> list[Answer]:
        """Answers in order, without times.

        Args:
            exits: The setting.
            label: Stands beside the progress bar.
            num_beams: Of every answer.
            examples: Some of the workload's; None means all.
        """
        slots = Slots(self._encoder, BATCH_SIZE)
        return answer_in_batches(
            self.examples if examples is None else examples,
            lambda item: self.request(item, exits, num_beams),
            lambda requests: answer_all(slots, requests),
            f"{self.task} {label}",
        )

    def request(self, example: Example, exits: ExitConfig, num_beams: int = 1) -> Request:
        """The request of an example."""
        return make_request(self.predictor, self.task, example, exits, self.features, num_beams)

    @cached_property
    def _encoder(self) -> RememberingEncoder:
        return RememberingEncoder(self.predictor)

    def scores(self, answers: Sequence[Answer]) -> np.ndarray:
        """``(N,)`` what each answer scores; document frequencies are those of these examples."""
        references = [example.references for example in self.examples]
        return example_scores(self.metric, [answer.text for answer in answers], references)
