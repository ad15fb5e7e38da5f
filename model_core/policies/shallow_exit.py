"""FREE's rule: one shallow exit and the full model, nothing between.

Source: arXiv 2310.05424 (a shallow and a deep model share their first layers; tokens that are sure
enough at the shallow exit leave there). Their threshold adapts to the input; ours is calibrated.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitSignals, KnownScore
from model_core.policies.confidence import ConfidencePolicy


class ShallowExitPolicy(ConfidencePolicy):
    """Asks for the largest probability once, at ``depth``; who does not leave runs to the end.

    The vocabulary is read once for a token that leaves and twice for one that does not.
    """

    grid: ClassVar[tuple[float, ...]] = (0.9, 0.7, 0.5, 0.4, 0.3, 0.2)

    kind: Literal["shallow_exit"] = "shallow_exit"  # type: ignore[assignment]
    depth: int = Field(default=2, ge=1, le=1000, description="The only depth that may be left at.")

    @classmethod
    def settings(cls, num_layers: int, first_exit: int = 1) -> Sequence[Self]:
        num_exits = num_layers - first_exit + 1
        depth = first_exit - 1 + max(1, num_exits // 3)
        return [cls(threshold=value, depth=depth) for value in cls.grid]

    def asks_at(self, depth: int) -> bool:
        return depth == self.depth

    def known_score(self, depth: int) -> KnownScore | None:
        return None if self.asks_at(depth) else KnownScore(0.0, 1.0)

    def score(self, signals: ExitSignals) -> Tensor:
        if not self.asks_at(signals.depth):
            return signals.hidden.new_zeros(signals.num_rows)
        return super().score(signals)

    def thresholds(self, signals: ExitSignals) -> Tensor:
        if not self.asks_at(signals.depth):
            return signals.hidden.new_ones(signals.num_rows)
        return super().thresholds(signals)
