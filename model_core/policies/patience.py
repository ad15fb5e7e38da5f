"""PABEE's signal: how many depths in a row have chosen the same.

Source: arXiv 2006.04152. Theirs leaves when the whole batch agrees; here each row counts for
itself, and what it counted goes with it from depth to depth.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from model_core.policies.base import CARRIED_DTYPE, ExitPolicy, ExitSignals


class PatiencePolicy(ExitPolicy):
    """Leaves when the choice has stayed the same through ``patience`` further layers.

    It carries the last choice and how often it was repeated.
    """

    grid: ClassVar[tuple[float, ...]] = (5, 4, 3, 2, 1)

    kind: Literal["patience"] = "patience"
    patience: int = Field(
        ge=1,
        le=1000,
        description="Further layers that have to choose the same before a row leaves.",
    )

    @classmethod
    def settings(cls, num_layers: int, first_exit: int = 1) -> Sequence[Self]:
        num_exits = num_layers - first_exit + 1
        return [cls(patience=int(value)) for value in cls.grid if value < num_exits]

    @property
    def needs_logits(self) -> bool:
        return True

    @property
    def num_carried(self) -> int:
        return 2

    def score(self, signals: ExitSignals) -> Tensor:
        # From 1 on: what is carried to the first exit is 0, and no choice.
        choice = signals.logits().argmax(dim=-1).to(CARRIED_DTYPE) + 1
        last, repeats = signals.carried_from_before(self.num_carried).unbind(dim=1)
        repeats = torch.where(choice == last, repeats + 1, 0)
        signals.carried = torch.stack([choice, repeats], dim=1)
        return repeats.to(signals.hidden)

    def thresholds(self, signals: ExitSignals) -> Tensor:
        return signals.hidden.new_full((signals.num_rows,), float(self.patience))
