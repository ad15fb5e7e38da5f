"""Full depth: the policy that never fires."""

from typing import Literal

from model_core.policies.base import ExitPolicy, KnownScore


class NeverPolicy(ExitPolicy):
    """Runs every layer: its score is always 0 and its threshold always 1."""

    kind: Literal["never"] = "never"

    def known_score(self, depth: int) -> KnownScore:  # noqa: ARG002
        return KnownScore(0.0, 1.0)
