"""The local perception head of shallow depths: convolutions bring what their layers lack.

Source: arXiv 2308.00255, the released code: 1x1, GELU, batch norm; depthwise 3x3, GELU, batch norm;
1x1, batch norm; residual.
"""

from torch import Tensor, nn
from torch.nn import functional

from model_core.tag_heads.base import TagHead, grid_side, linear_flops

KERNEL_SIZE = 3


class LocalPerceptionHead(TagHead):
    """Convolutions over the grid of image tokens, added to the tokens themselves."""

    def __init__(self, num_tokens: int, hidden_size: int, width: int, has_depthwise: bool) -> None:
        """``width`` channels inside; the upper heads of the shallow group go without 3x3."""
        super().__init__()
        self.side = grid_side(num_tokens)
        self.inner = nn.Conv2d(hidden_size, width, 1)
        self.inner_norm = nn.BatchNorm2d(width)
        self.has_depthwise = has_depthwise
        if has_depthwise:
            self.depthwise = nn.Conv2d(
                width, width, KERNEL_SIZE, padding=KERNEL_SIZE // 2, groups=width
            )
            self.depthwise_norm = nn.BatchNorm2d(width)
        self.outer = nn.Conv2d(width, hidden_size, 1)
        self.outer_norm = nn.BatchNorm2d(hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        grid = states.transpose(1, 2).unflatten(2, (self.side, self.side))  # (B, D, h, w)
        hidden = self.inner_norm(functional.gelu(self.inner(grid)))
        if self.has_depthwise:
            hidden = self.depthwise_norm(functional.gelu(self.depthwise(hidden)))
        update = self.outer_norm(self.outer(hidden)).flatten(2).transpose(1, 2)  # (B, T, D)
        tokens: Tensor = states + update
        return tokens

    def flops(self) -> int:
        hidden_size, width = self.inner.in_channels, self.inner.out_channels
        per_token = linear_flops(hidden_size, width) + linear_flops(width, hidden_size)
        if self.has_depthwise:
            per_token += linear_flops(KERNEL_SIZE**2, width)
        return self.side**2 * per_token
