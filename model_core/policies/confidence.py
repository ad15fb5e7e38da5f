"""DEED's signal: the largest probability of the exit head at this depth.

Source: arXiv 2311.08623; the abstract gives the idea, the form (one global threshold) is our
reading.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitSignals, ThresholdPolicy


class ConfidencePolicy(ThresholdPolicy):
    """Leaves when the largest softmax probability reaches the threshold.

    The logits are computed only for rows still undecided. For a task with allowed outputs the
    softmax runs over those alone.
    """

    grid: ClassVar[tuple[float, ...]] = (
        *(0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1),
    )

    kind: Literal["confidence"] = "confidence"
    threshold: float = Field(ge=0.0, le=1.0, description="Probability at which a row may leave.")

    @property
    def needs_logits(self) -> bool:
        return True

    def score(self, signals: ExitSignals) -> Tensor:
        logits = signals.logits()
        return (logits.amax(dim=-1) - torch.logsumexp(logits, dim=-1)).exp()
