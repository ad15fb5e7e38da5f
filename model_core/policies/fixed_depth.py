"""A fixed depth for every row: the baseline a dynamic policy has to beat."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitPolicy, ExitSignals


class FixedDepthPolicy(ExitPolicy):
    """Leaves after ``depth`` layers: the score is the depth reached."""

    kind: Literal["fixed_depth"] = "fixed_depth"
    depth: int = Field(
        ge=1, le=1000, description="Layers to run; the model's own depth is the limit."
    )

    def score(self, signals: ExitSignals) -> Tensor:
        return signals.hidden.new_full((signals.num_rows,), float(signals.depth))

    def thresholds(self, signals: ExitSignals) -> Tensor:
        return signals.hidden.new_full((signals.num_rows,), float(self.depth))
