"""Heads of the policy ``classifier``: does this depth choose what full depth would choose?"""

from torch import Tensor, nn
from torch.nn import functional

from model_core.config import ModelConfig
from model_core.policies import ExitSignals
from model_core.policy_heads.base import PolicyHeads

CLASSIFIER_WIDTH = 64


class AgreementClassifier(PolicyHeads):
    """How likely a depth already chooses what full depth would choose.

    Reads the newest token's state alone, ``W2 GELU(W1 h)``: what it must beat is the time of a
    layer, and each further input is several kernels more.

    Source: arXiv 2207.07061, section 3.4; the hidden unit and a head per depth are our reading.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        depths = range(1, config.num_decoder_layers)
        self.inner = nn.ModuleList(nn.Linear(config.hidden_size, CLASSIFIER_WIDTH) for _ in depths)
        self.outer = nn.ModuleList(nn.Linear(CLASSIFIER_WIDTH, 1) for _ in depths)

    def forward(self, signals: ExitSignals) -> Tensor:
        return self.logits(signals).sigmoid()

    def logits(self, signals: ExitSignals) -> Tensor:
        """``(B,)`` log odds of the score."""
        inner, outer = self.inner[signals.depth - 1], self.outer[signals.depth - 1]
        logits: Tensor = outer(functional.gelu(inner(signals.hidden[:, -1]))).squeeze(1)
        return logits

    @classmethod
    def flops(cls, config: ModelConfig) -> int:
        return 2 * CLASSIFIER_WIDTH * (config.hidden_size + 1)
