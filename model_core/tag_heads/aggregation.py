"""The global aggregation head of deep depths: attention among a quarter of the image tokens.

Source: arXiv 2308.00255, the released code: tokens subsampled on the grid, then multi-head
self-attention without a residual. The width inside is ours, so that heads cost alike.
"""

from torch import Tensor, nn

from model_core.layers import KeyValue, attend
from model_core.tag_heads.base import TagHead, grid_side, linear_flops

STRIDE = 2
NUM_HEADS = 8


class GlobalAggregationHead(TagHead):
    """Self-attention of every second token of every second row of the grid."""

    def __init__(self, num_tokens: int, hidden_size: int, width: int) -> None:
        """``width`` is that of queries, keys and values together over the heads.

        Raises:
            ValueError: The heads do not divide it.
        """
        super().__init__()
        if width % NUM_HEADS:
            raise ValueError(f"width: {width} must be a multiple of the {NUM_HEADS} heads")
        self.side = grid_side(num_tokens)
        self.qkv = nn.Linear(hidden_size, 3 * width)
        self.out = nn.Linear(width, hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        sampled = subsample(states, self.side)
        query, key, value = self.qkv(sampled).unflatten(-1, (3, NUM_HEADS, -1)).unbind(-3)
        tokens: Tensor = self.out(attend(query, KeyValue(key, value)).flatten(-2))
        return tokens

    def flops(self) -> int:
        hidden_size, width = self.qkv.in_features, self.out.in_features
        num_sampled = (-(-self.side // STRIDE)) ** 2
        linear = linear_flops(hidden_size, 3 * width) + linear_flops(width, hidden_size)
        return num_sampled * (linear + 2 * linear_flops(num_sampled, width))


def subsample(states: Tensor, side: int) -> Tensor:
    """``(B, T', D)`` every ``STRIDE``-th token in both directions of a grid of ``side`` rows."""
    grid = states.unflatten(1, (side, side))  # (B, h, w, D)
    sampled: Tensor = grid[:, ::STRIDE, ::STRIDE].flatten(1, 2)
    return sampled
