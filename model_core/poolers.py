"""Attentional poolers: one vector for a photo, one for a sentence, comparable with each other.

Source: arXiv 2205.01917 (CoCa): one learned query attends to the encoder's states; the temperature
is learned. We pool text the same way, since our text encoder is bidirectional.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.config import ModelConfig
from model_core.layers import KeyValue, attend

INITIAL_TEMPERATURE = 0.07


class AttentionPooler(nn.Module):
    """One learned query over the tokens of one modality."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_heads
        self.query = nn.Parameter(torch.randn(1, 1, config.num_heads, width // config.num_heads))
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, config.embedding_size)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """``(B, E)`` unit vectors of ``(B, T, D)`` states; ``(B, T)`` mask True at real tokens."""
        key_value = KeyValue(
            *self.key_value(states).unflatten(-1, (2, self.num_heads, -1)).unbind(-3)
        )
        query = self.query.to(key_value.key.dtype).expand(len(states), -1, -1, -1)
        pooled = self.out(attend(query, key_value, mask).flatten(1))
        return functional.normalize(pooled.float(), dim=-1)


class Poolers(nn.Module):
    """The poolers of both modalities and the scale of their similarity (1 / temperature)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.image = AttentionPooler(config)
        self.text = AttentionPooler(config)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(INITIAL_TEMPERATURE)))
