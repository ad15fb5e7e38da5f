"""A fixed depth for every row: the baseline a dynamic policy has to beat."""

from typing import Literal

from pydantic import Field

from model_core.policies.base import ExitPolicy, KnownScore


class FixedDepthPolicy(ExitPolicy):
    """Leaves after ``depth`` layers: the score is the depth reached."""

    kind: Literal["fixed_depth"] = "fixed_depth"
    depth: int = Field(
        ge=1, le=1000, description="Layers to run; the model's own depth is the limit."
    )

    def known_score(self, depth: int) -> KnownScore:
        return KnownScore(float(depth), float(self.depth))
