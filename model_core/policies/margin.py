"""CALM's softmax response: by how much the best choice leads at this depth.

Source: arXiv 2207.07061, section 3.4 (the difference of the two largest probabilities).
"""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitSignals, ThresholdPolicy


class MarginPolicy(ThresholdPolicy):
    """Leaves when the largest probability leads the second by the threshold."""

    grid: ClassVar[tuple[float, ...]] = (
        *(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.02),
    )

    kind: Literal["margin"] = "margin"
    threshold: float = Field(
        ge=0.0, le=1.0, description="Lead of the best probability at which a row may leave."
    )

    @property
    def needs_logits(self) -> bool:
        return True

    def score(self, signals: ExitSignals) -> Tensor:
        best, second = signals.logits().softmax(dim=-1).topk(2, dim=-1).values.unbind(dim=-1)
        return best - second
