"""Heads of the policy ``jei_dnn``: gates that look at how uncertain each exit is."""

import math

import torch
from torch import Tensor, nn

from model_core.config import ModelConfig
from model_core.policies import ExitSignals
from model_core.policy_heads.base import PolicyHeads

NUM_STATISTICS = 4


class UncertaintyGates(PolicyHeads):
    """``g_l = sigmoid(w_l . u + b_l)`` on four statistics of the exit's probabilities.

    Each exit also has a temperature, by which its logits are divided first: all that is left of the
    paper's inference modules where the exits themselves stay as they are.

    Source: arXiv 2310.09163; entropies in parts of the largest possible, so that one gate serves
    any number of choices, and the temperature for the module, are ours.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        num_exits = config.num_decoder_layers
        self.gates = nn.ModuleList(nn.Linear(NUM_STATISTICS, 1) for _ in range(num_exits - 1))
        self.log_temperature = nn.Parameter(torch.zeros(num_exits))

    def forward(self, signals: ExitSignals) -> Tensor:
        return self.logits(signals).sigmoid()

    def logits(self, signals: ExitSignals) -> Tensor:
        """``(B,)`` log odds of the gate; the statistics are detached."""
        with torch.no_grad():
            statistics = uncertainty(self.scaled(signals))
        logits: Tensor = self.gates[signals.depth - 1](statistics).squeeze(1)
        return logits

    def scaled(self, signals: ExitSignals) -> Tensor:
        """``(B, V)`` logits of the exit at its temperature."""
        return signals.logits() * (-self.log_temperature[signals.depth - 1]).exp()

    @classmethod
    def flops(cls, config: ModelConfig) -> int:  # noqa: ARG003
        return 2 * NUM_STATISTICS


def uncertainty(logits: Tensor) -> Tensor:
    """``(B, 4)`` of ``(B, V)``: largest probability, entropy, lead, entropy of the squares.

    Entropies are divided by ``ln V``; the squared probabilities are made to add up to 1 again.
    """
    log_p = logits.log_softmax(dim=-1)
    best, second = log_p.topk(2, dim=-1).values.exp().unbind(dim=-1)
    sharper = (2 * log_p).log_softmax(dim=-1)
    scale = 1 / math.log(logits.shape[-1])
    entropies = [-(part.exp() * part).sum(dim=-1) * scale for part in (log_p, sharper)]
    return torch.stack([best, entropies[0], best - second, entropies[1]], dim=1)
