"""MuE's signal: a layer that changes the states little announces that the rest will too.

Source: arXiv 2211.11152, section 3. We take the cosine of each sample alone, where the released
code flattens the batch into one vector.
"""

from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from model_core.policies.base import ExitPolicy, ExitSignals


class ThresholdDecay(BaseModel):
    """MuE's falling threshold for captions: ``beta * theta + (1 - beta) * exp(-tau * t / N)``.

    Source: arXiv 2211.11152, appendix; the formula is our reconstruction (N = most steps the row
    may take, t = 0-based step).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    beta: float = Field(default=0.95, ge=0.0, le=1.0)
    tau: float = Field(default=1.0, ge=0.0, le=100.0)


class SimilarityPolicy(ExitPolicy):
    """Leaves when the cosine of consecutive depths reaches the threshold, without the head."""

    grid: ClassVar[tuple[float, ...]] = (
        *(0.999, 0.995, 0.99, 0.985, 0.98, 0.97, 0.95, 0.925, 0.9, 0.85, 0.8, 0.7),
    )

    kind: Literal["similarity"] = "similarity"
    threshold: float = Field(ge=-1.0, le=1.0, description="Cosine at which a row may leave.")
    decay: ThresholdDecay | None = Field(
        default=None, description="Lets the threshold fall along the caption (decoder only)."
    )

    def score(self, signals: ExitSignals) -> Tensor:
        return token_matrix_cosine(signals.hidden, signals.previous, signals.mask)

    def thresholds(self, signals: ExitSignals) -> Tensor:
        if self.decay is None:
            return signals.hidden.new_full((signals.num_rows,), self.threshold)
        progress = signals.steps.to(signals.hidden) / signals.max_steps.to(signals.hidden)
        fall = torch.exp(-self.decay.tau * progress)
        return self.decay.beta * self.threshold + (1 - self.decay.beta) * fall


def token_matrix_cosine(hidden: Tensor, previous: Tensor, mask: Tensor | None) -> Tensor:
    """``(B,)`` cosine between the flattened token matrices of two depths, sample by sample.

    Args:
        hidden: ``(B, T, D)`` after a layer.
        previous: ``(B, T, D)`` before it.
        mask: ``(B, T)`` True at real tokens; padding counts for nothing. None: all real.
    """
    if mask is not None:
        hidden = hidden * mask.unsqueeze(-1)
        previous = previous * mask.unsqueeze(-1)
    dot = (hidden * previous).sum(dim=(1, 2))
    norms = hidden.square().sum(dim=(1, 2)) * previous.square().sum(dim=(1, 2))
    return dot * norms.clamp_min(torch.finfo(norms.dtype).tiny).rsqrt()
