"""PALBERT's rules: a distribution over the depth at which to halt, and three ways to use it.

Source: arXiv 2204.03276; ``q_exit`` is theirs, the others are what they compare with. Each row of
a batch, and each token of a caption, has a distribution of its own (their code runs batch 1).
"""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from model_core.policies.base import ExitPolicy, ExitSignals

GOLDEN_RATIO = 0.6180339887498949


class PalbertPolicy(ExitPolicy):
    """Leaves by how likely the row is to have halted by now: ``sum_{j<=i} p_j``.

    ``q_exit`` compares it with ``threshold``. ``sample`` compares it with a number of its own for
    each step, evenly spread over 0..1 (a draw from the distribution, the same for the same step,
    so that an answer does not depend on who shares the batch: ours). ``expectation`` leaves at the
    expected depth, of which the part not seen yet is taken from a geometric distribution with the
    mean rate so far (ours: the expectation itself needs every layer).
    """

    grid: ClassVar[tuple[float, ...]] = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

    kind: Literal["palbert"] = "palbert"
    threshold: float = Field(
        default=0.5, gt=0.0, lt=1.0, description="q: chance of having halted at which a row leaves."
    )
    rule: Literal["q_exit", "sample", "expectation"] = "q_exit"

    @property
    def learned_kind(self) -> str | None:
        return self.kind

    @property
    def num_carried(self) -> int:
        return 2  # the chance of having halted, and the part of the expected depth that it holds

    def score(self, signals: ExitSignals) -> Tensor:
        if signals.depth >= signals.num_layers:  # the last depth takes the rest
            return signals.hidden.new_ones(signals.num_rows)
        halting = signals.learned_score(self.kind)
        halted, depth_so_far = signals.carried_from_before(self.num_carried).to(halting).unbind(1)
        share = halting * (1 - halted)
        halted, depth_so_far = halted + share, depth_so_far + signals.depth * share
        signals.carried = torch.stack([halted, depth_so_far], dim=1)
        if self.rule != "expectation":
            return halted
        left = signals.num_layers - signals.depth
        rate = 1 - (1 - halted).clamp_min(0.0) ** (1 / signals.depth)  # the mean rate so far
        # Mean of a geometric distribution cut off after ``left`` more layers.
        further = (1 - (1 - rate) ** left) / rate.clamp_min(1e-6)
        expected = depth_so_far + (1 - halted) * (signals.depth + further)
        return (expected <= signals.depth + 0.5).to(halting)

    def thresholds(self, signals: ExitSignals) -> Tensor:
        if self.rule == "q_exit":
            return signals.hidden.new_full((signals.num_rows,), self.threshold)
        if self.rule == "expectation":
            return signals.hidden.new_full((signals.num_rows,), 0.5)
        return ((signals.steps + 1).to(signals.hidden) * GOLDEN_RATIO).frac()
