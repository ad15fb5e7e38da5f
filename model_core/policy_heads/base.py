"""What the heads of any policy have to offer."""

from torch import Tensor, nn

from model_core.config import ModelConfig
from model_core.policies import ExitSignals


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
