"""Attentional poolers: one vector for a photo, one for a sentence, comparable with each other.

Source: arXiv 2205.01917 (CoCa): learned queries attend to the encoder's states, one for the vector
of a photo and many for what the decoder sees of it; the temperature is learned. A unified model
pools text the same way, since its text encoder is bidirectional; CoCa itself has one state of a
sentence to project.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.config import ModelConfig
from model_core.layers import KeyValue, attend

INITIAL_TEMPERATURE = 0.07
QUERY_DEVIATION = 2.0  # of the captioning queries: sharp enough that each looks somewhere else


class QueryAttention(nn.Module):
    """Attention of learned queries; their projection is a constant, and so a parameter itself."""

    def __init__(self, config: ModelConfig, num_queries: int, output_size: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_heads
        self.query = nn.Parameter(
            torch.randn(1, num_queries, config.num_heads, width // config.num_heads)
        )
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, output_size)

    def pool(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """``(B, Q, O)`` of ``(B, T, D)`` states; ``(B, T)`` mask True at real tokens."""
        key_value = KeyValue(
            *self.key_value(states).unflatten(-1, (2, self.num_heads, -1)).unbind(-3)
        )
        query = self.query.to(key_value.key.dtype).expand(len(states), -1, -1, -1)
        pooled: Tensor = self.out(attend(query, key_value, mask).flatten(2))
        return pooled


class AttentionPooler(QueryAttention):
    """One learned query over the tokens of one modality."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, 1, config.embedding_size)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """``(B, E)`` unit vectors of ``(B, T, D)`` states; ``(B, T)`` mask True at real tokens."""
        return functional.normalize(self.pool(states, mask).squeeze(1).float(), dim=-1)


class CaptionPooler(QueryAttention):
    """What the decoder sees of a photo: the encoder's states pooled to a few tokens.

    Source: arXiv 2205.01917 (256 queries for 576 tokens and more). The norm, and the start of
    ``reset`` are ours.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, config.num_pooler_queries, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)

    @torch.no_grad()
    def reset(self) -> None:
        """Begin with weighted means of the encoder's own states, each query's with other weights.

        So a decoder that has learned to read those states can read the pooled ones at once.
        """
        width = self.out.in_features
        self.query.normal_(std=QUERY_DEVIATION)
        nn.init.normal_(self.key_value.weight[:width], std=width**-0.5)
        nn.init.eye_(self.key_value.weight[width:])
        nn.init.eye_(self.out.weight)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, Q, D)`` memory of ``(B, Ti, D)`` states."""
        memory: Tensor = self.norm(self.pool(states, None))
        return memory


class ClassProjection(nn.Module):
    """The vector of a sentence from the one state that has seen all of it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.out = nn.Linear(config.hidden_size, config.embedding_size)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, E)`` unit vectors of ``(B, D)`` states."""
        return functional.normalize(self.out(self.norm(states)).float(), dim=-1)


class Poolers(nn.Module):
    """The poolers of both modalities and the scale of their similarity (1 / temperature)."""

    def __init__(self, config: ModelConfig, text: nn.Module) -> None:
        """``text`` makes the vector of a sentence from the model's states of it."""
        super().__init__()
        self.image = AttentionPooler(config)
        self.text = text
        self.log_scale = nn.Parameter(torch.tensor(-math.log(INITIAL_TEMPERATURE)))
