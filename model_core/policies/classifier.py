"""CALM's learned signal: how likely this depth already chooses what full depth would choose.

Source: arXiv 2207.07061, section 3.4 (a classifier on the hidden state, trained to tell whether the
intermediate prediction equals the last one); that each depth has its own is our reading.
"""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitSignals, ThresholdPolicy


class ClassifierPolicy(ThresholdPolicy):
    """Leaves when the estimated chance of agreeing with full depth reaches the threshold.

    It reads the hidden state, neither the exit features nor the vocabulary. The model must have
    the heads that were trained for it.
    """

    grid: ClassVar[tuple[float, ...]] = (
        *(0.99, 0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3),
    )

    kind: Literal["classifier"] = "classifier"
    threshold: float = Field(
        ge=0.0, le=1.0, description="Chance of agreeing with full depth at which a row may leave."
    )

    @property
    def learned_kind(self) -> str | None:
        return self.kind

    def score(self, signals: ExitSignals) -> Tensor:
        if signals.depth >= signals.num_layers:  # full depth agrees with itself
            return signals.hidden.new_ones(signals.num_rows)
        return signals.learned_score(self.kind)
