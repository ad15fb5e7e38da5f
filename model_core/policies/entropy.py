"""DeeBERT's signal: how undecided the exit head is at this depth.

Source: arXiv 2004.12993 (leave when the entropy of the prediction is low enough). Turned round and
scaled by the entropy of a uniform choice, so that higher is safer and any vocabulary will do: ours.
"""

import math
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitSignals, ThresholdPolicy


class EntropyPolicy(ThresholdPolicy):
    """Leaves when ``1 - H(p) / ln V`` reaches the threshold: 1 is certain, 0 is a uniform guess."""

    grid: ClassVar[tuple[float, ...]] = (
        *(0.98, 0.95, 0.92, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4),
    )

    kind: Literal["entropy"] = "entropy"
    threshold: float = Field(
        ge=0.0, le=1.0, description="Certainty, 1 - entropy / its maximum, at which a row leaves."
    )

    @property
    def needs_logits(self) -> bool:
        return True

    def score(self, signals: ExitSignals) -> Tensor:
        log_p = signals.logits().log_softmax(dim=-1)
        return 1 + (log_p.exp() * log_p).sum(dim=-1) / math.log(log_p.shape[-1])
