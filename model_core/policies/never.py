"""Full depth: the policy that never fires."""

from typing import Literal

from torch import Tensor

from model_core.policies.base import ExitPolicy, ExitSignals


class NeverPolicy(ExitPolicy):
    """Runs every layer: its score is always 0 and its threshold always 1."""

    kind: Literal["never"] = "never"

    def score(self, signals: ExitSignals) -> Tensor:
        return signals.hidden.new_zeros(signals.num_rows)

    def thresholds(self, signals: ExitSignals) -> Tensor:
        return signals.hidden.new_ones(signals.num_rows)
