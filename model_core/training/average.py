"""The moving average of the weights that a run ends with."""

import torch
from torch import nn


class WeightAverage:
    """Exponential moving average of what is trainable.

    Attributes:
        weights: Name -> averaged value; empty when the decay is 0.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self.weights = (
            {name: value.detach().clone() for name, value in _trainable(model)} if decay else {}
        )

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model's weights by one step."""
        if not self.weights:
            return
        current = [value.detach() for _, value in _trainable(model)]
        torch._foreach_lerp_(list(self.weights.values()), current, 1 - self._decay)

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Put the average into the model."""
        for name, value in _trainable(model):
            if name in self.weights:
                value.copy_(self.weights[name])


def _trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, value) for name, value in model.named_parameters() if value.requires_grad]
