"""Learned heads of exit policies: one small module per kind of policy, trained on a frozen model.

A kind that needs heads has one entry here, which says what they are, what they cost and which
command makes them. ``model_core.heads_file`` keeps them beside a checkpoint, the model holds those
it was given, and a policy reaches them through its signals.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from model_core.config import ModelConfig
from model_core.policies import ExitSignals

CLASSIFIER = "classifier"
CLASSIFIER_WIDTH = 64


class PolicyHeads(nn.Module):
    """Base of the heads of one kind of policy, for every depth at which it may leave."""

    def __init__(self, config: ModelConfig) -> None:
        """Untrained heads for a model of that configuration."""
        super().__init__()
        self.num_layers = config.num_decoder_layers

    def forward(self, signals: ExitSignals) -> Tensor:
        """``(B,)`` score of the rows at the depth of their signals (1..L-1)."""
        raise NotImplementedError

    @classmethod
    def flops(cls, config: ModelConfig) -> int:
        """Operations of one score of one row."""
        raise NotImplementedError


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


class HeadsKind(NamedTuple):
    """The heads that a kind of policy needs, and the command that trains them."""

    heads_class: type[PolicyHeads]
    command: str


HEADS: dict[str, HeadsKind] = {
    CLASSIFIER: HeadsKind(
        AgreementClassifier,
        "python -m model_core train --config configs/train/flickr8k-classifier.yaml",
    ),
}


def usable_kinds(kinds: Iterable[str], learned_kinds: Collection[str]) -> list[str]:
    """``kinds`` of policy without those that need heads which are not among ``learned_kinds``."""
    return [kind for kind in kinds if kind not in HEADS or kind in learned_kinds]
