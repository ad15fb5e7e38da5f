"""Exit heads: one vocabulary shared by every depth, one small adapter per depth.

Source: arXiv 2311.08623 (DEED) for the shared head with adaptation modules; their form, and that
they start at zero, is our reading: ``A(h) = h + W2 GELU(W1 LN h)``, ``logits = E LN(A(h)) + b``.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.config import ModelConfig

# ``(..., O)`` of an input ``(..., I)``, a weight ``(O, I)`` and a bias ``(O,)``.
LinearFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


class ExitAdapter(nn.Module):
    """Residual adapter of one depth; the identity at the start of training."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.down = nn.Linear(width, size)
        self.up = nn.Linear(size, width)

    def forward(self, hidden: Tensor) -> Tensor:
        adapted: Tensor = hidden + self.up(functional.gelu(self.down(self.norm(hidden))))
        return adapted


class TokenExitHead(nn.Module):
    """Logits at any depth: adapter of that depth, then the shared norm and vocabulary.

    The two halves are separate calls, so that rows leaving at different depths of one step share
    one pass over the vocabulary matrix.

    Attributes:
        read_vocabulary: How all of that matrix is read; packed weights put their own here.
    """

    read_vocabulary: LinearFunction

    def __init__(self, config: ModelConfig, word_embedding: nn.Embedding) -> None:
        super().__init__()
        self.word_embedding = word_embedding
        self.first_depth = config.first_exit_depth
        self.adapters = nn.ModuleList(
            ExitAdapter(config.hidden_size, config.adapter_size)
            for _ in range(self.first_depth, config.num_decoder_layers + 1)
        )
        self.norm = nn.LayerNorm(config.hidden_size)
        self.bias = nn.Parameter(torch.zeros(word_embedding.num_embeddings))
        self.read_vocabulary = functional.linear

    def reset_adapters(self) -> None:
        """Make every adapter the identity."""
        for adapter in self.adapters:
            assert isinstance(adapter, ExitAdapter)
            nn.init.zeros_(adapter.up.weight)
            nn.init.zeros_(adapter.up.bias)

    def features(self, depth: int, hidden: Tensor) -> Tensor:
        """``(N, D)`` features of ``(N, D)`` states after ``depth`` layers.

        Raises:
            ValueError: There is no exit at that depth.
        """
        if depth < self.first_depth:
            raise ValueError(f"depth {depth} has no exit; the first one is {self.first_depth}")
        features: Tensor = self.norm(self.adapters[depth - self.first_depth](hidden))
        return features

    def logits(self, features: Tensor, candidates: Tensor | None = None) -> Tensor:
        """``(N, V)`` logits, or ``(N, C)`` over the candidate ids alone."""
        weight: Tensor = self.word_embedding.weight
        bias: Tensor = self.bias
        if candidates is None:
            return self.read_vocabulary(features, weight, bias)
        return functional.linear(features, weight[candidates], bias[candidates])
