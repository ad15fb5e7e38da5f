"""A fixed depth for every row: the baseline a dynamic policy has to beat."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field

from model_core.policies.base import ExitPolicy, KnownScore


class FixedDepthPolicy(ExitPolicy):
    """Leaves after ``depth`` layers: the score is the depth reached."""

    kind: Literal["fixed_depth"] = "fixed_depth"
    depth: int = Field(
        ge=1, le=1000, description="Layers to run; the model's own depth is the limit."
    )

    @classmethod
    def settings(cls, num_layers: int, first_exit: int = 1) -> Sequence[Self]:
        return [cls(depth=depth) for depth in range(num_layers - 1, first_exit - 1, -1)]

    def known_score(self, depth: int) -> KnownScore:
        return KnownScore(float(depth), float(self.depth))
