"""DEED's signal: the largest probability of the exit head at this depth.

Source: arXiv 2311.08623; the abstract gives the idea, the form (one global threshold) is our
reading. Where several labels may hold (tags), LGViT's largest softmax probability (arXiv
2308.00255) has no counterpart; there the score is the F1 that the head expects of its own answer
(ours).
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitSignals, ThresholdPolicy


class ConfidencePolicy(ThresholdPolicy):
    """Leaves when the largest softmax probability reaches the threshold.

    The logits are computed only for rows still undecided. For a task with allowed outputs the
    softmax runs over those alone. For tags it is ``expected_f1``.
    """

    grid: ClassVar[tuple[float, ...]] = (
        *(0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1),
    )

    kind: Literal["confidence"] = "confidence"
    threshold: float = Field(ge=0.0, le=1.0, description="Probability at which a row may leave.")

    @property
    def needs_logits(self) -> bool:
        return True

    @property
    def reads_many_labels(self) -> bool:
        return True

    def score(self, signals: ExitSignals) -> Tensor:
        logits = signals.logits()
        if signals.has_many_labels:
            return expected_f1(logits)
        return (logits.amax(dim=-1) - torch.logsumexp(logits, dim=-1)).exp()


def expected_f1(logits: Tensor) -> Tensor:
    """``(B,)`` best F1 that labels drawn with the odds ``(B, N)`` let a set of labels hope for.

    ``max_k 2 (p_1 + .. + p_k) / (k + p_1 + .. + p_N)``, likeliest labels first: the ratio of the
    expectations of hits and of labels given and wanted. The mean of ``max(p, 1 - p)`` over the
    labels would be near 1 for any photo, since nearly all labels are plainly absent from it.
    """
    likely = logits.sigmoid().sort(dim=-1, descending=True).values
    hits = likely.cumsum(dim=-1)
    sizes = torch.arange(1, logits.shape[-1] + 1, device=logits.device)
    return (2 * hits / (sizes + hits[..., -1:])).amax(dim=-1)
