"""Heads of the policy ``palbert``: how likely a row is to halt at this depth, given it got here."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from model_core.config import ModelConfig
from model_core.policies import ExitSignals
from model_core.policy_heads.base import PolicyHeads

HALTING_WIDTH = 64
NUM_HIDDEN = 3


class HaltingLayers(PolicyHeads):
    """``lambda_i = sigmoid(Lambda([h_i; h_{i-1}]))``, the same Lambda at every depth.

    Lambda is three linear layers with tanh and one without; ``h_0`` is zero.

    Source: arXiv 2204.03276. Their hidden layers are as wide as the model; 64 is ours, because the
    score must cost less than the layer that it may save.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        widths = [2 * config.hidden_size, *(NUM_HIDDEN * [HALTING_WIDTH])]
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.outer = nn.Linear(HALTING_WIDTH, 1)

    def forward(self, signals: ExitSignals) -> Tensor:
        return self.logits(signals).sigmoid()

    def logits(self, signals: ExitSignals) -> Tensor:
        """``(B,)`` log odds of halting here."""
        here, before = signals.hidden[:, -1], signals.previous[:, -1]
        if signals.depth == 1:
            before = torch.zeros_like(before)
        states = torch.cat([here, before], dim=1)
        for layer in self.hidden:
            states = layer(states).tanh()
        logits: Tensor = self.outer(states).squeeze(1)
        return logits

    @classmethod
    def flops(cls, config: ModelConfig) -> int:
        multiply_adds = 2 * config.hidden_size * HALTING_WIDTH
        multiply_adds += (NUM_HIDDEN - 1) * HALTING_WIDTH**2 + HALTING_WIDTH
        return 2 * multiply_adds


def halting_probabilities(halting: Tensor) -> Tensor:
    """``(N, L)`` chance to halt at each depth, from ``(N, L-1)`` of halting once it is reached.

    ``p_i = lambda_i prod_{j<i} (1 - lambda_j)``; the last depth takes the rest.
    """
    ones = torch.ones_like(halting[:, :1])
    survival = torch.cat([ones, (1 - halting).cumprod(dim=1)], dim=1)
    return torch.cat([halting, ones], dim=1) * survival


def geometric_prior(rate: float, num_layers: int) -> Tensor:
    """``(L,)`` truncated geometric distribution over depths; the last takes the rest."""
    return halting_probabilities(torch.full((1, num_layers - 1), rate))[0]
