"""What the head of any kind has to offer, and how many operations a linear map takes."""

import math

from torch import Tensor, nn


class TagHead(nn.Module):
    """Base of the heads: states of the image at one depth to tokens that the tags are read from."""

    def forward(self, states: Tensor) -> Tensor:
        """``(B, T', D)`` head tokens of ``(B, T, D)`` states; rows do not see each other."""
        raise NotImplementedError

    def flops(self) -> int:
        """Operations for one photo."""
        raise NotImplementedError


def linear_flops(inputs: int, outputs: int) -> int:
    """Operations of a linear map of one token; a multiply-add is two."""
    return 2 * inputs * outputs


def grid_side(num_tokens: int) -> int:
    """Side of the square grid of so many image tokens.

    Raises:
        ValueError: They make no square.
    """
    side = math.isqrt(num_tokens)
    if side * side != num_tokens:
        raise ValueError(f"num_tokens: {num_tokens} image tokens are not a square grid")
    return side
