"""JEI-DNN's rule: gates share out the probability of leaving over the depths.

Source: arXiv 2310.09163; each row of a batch carries its own shares.
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitSignals, ThresholdPolicy


class JeiDnnPolicy(ThresholdPolicy):
    """Leaves where the chance of leaving now, given that the row got here, reaches the threshold.

    ``P_l = max(0, min(g_l, 1 - sum_{j<l} g_j))`` and ``a_l = P_l / prod_{j<l} (1 - a_j)``, cut to
    0..1; the gates read the vocabulary at every depth.
    """

    grid: ClassVar[tuple[float, ...]] = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

    kind: Literal["jei_dnn"] = "jei_dnn"
    threshold: float = Field(
        default=0.5, gt=0.0, le=1.0, description="Chance of leaving here at which a row leaves."
    )

    @property
    def needs_logits(self) -> bool:
        return True

    @property
    def learned_kind(self) -> str | None:
        return self.kind

    @property
    def num_carried(self) -> int:
        return 2  # the sum of the gates, and the chance of having left

    def score(self, signals: ExitSignals) -> Tensor:
        if signals.depth >= signals.num_layers:
            return signals.hidden.new_ones(signals.num_rows)
        gate = signals.learned_score(self.kind)
        spent, has_left = signals.carried_from_before(self.num_carried).to(gate).unbind(dim=1)
        chance = exit_chance(gate, spent, has_left)
        has_left = has_left + chance * (1 - has_left)
        signals.carried = torch.stack([spent + gate, has_left], dim=1)
        return chance


def exit_chance(gate: Tensor, spent: Tensor, has_left: Tensor) -> Tensor:
    """``(B,)`` chance of leaving at a depth, given that the row has not left before.

    Args:
        gate: ``(B,)`` g_l.
        spent: ``(B,)`` the sum of the gates before.
        has_left: ``(B,)`` chance of having left before.
    """
    share = torch.minimum(gate, 1 - spent).clamp_min(0.0)
    return (share / (1 - has_left).clamp_min(1e-6)).clamp(0.0, 1.0)
