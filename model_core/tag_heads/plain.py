"""The heads that the others are compared with: no sight of the neighbours at all."""

from torch import Tensor, nn
from torch.nn import functional

from model_core.tag_heads.base import TagHead, linear_flops


class LinearHead(TagHead):
    """The tokens as they are: tags are a linear map of their mean.

    A linear map of each token before the mean would be one of the mean, so that no width makes
    this head cost as much as the others.
    """

    def forward(self, states: Tensor) -> Tensor:
        return states

    def flops(self) -> int:
        return 0


class MlpHead(TagHead):
    """A hidden layer on each token alone, added to the token."""

    def __init__(self, num_tokens: int, hidden_size: int, width: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.inner = nn.Linear(hidden_size, width)
        self.outer = nn.Linear(width, hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        tokens: Tensor = states + self.outer(functional.gelu(self.inner(states)))
        return tokens

    def flops(self) -> int:
        hidden_size, width = self.inner.in_features, self.inner.out_features
        per_token = linear_flops(hidden_size, width) + linear_flops(width, hidden_size)
        return self.num_tokens * per_token
