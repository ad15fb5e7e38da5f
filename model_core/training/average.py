"""Means of weights: the moving average that a run ends with, and the mix that one starts from."""

import torch
from torch import nn

from model_core.errors import ConfigError


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


@torch.no_grad()
def mix_weights(model: nn.Module, other: nn.Module, weight: float) -> None:
    """Move ``model`` by ``weight`` of the way to ``other``; what only one of them has stays.

    Raises:
        ConfigError: The same name has another shape in the other model.
    """
    theirs = other.state_dict()
    mixed = {}  # apart from the model: tied weights have several names and must move once
    for name, value in model.state_dict().items():
        if name not in theirs or not value.is_floating_point():
            continue
        if value.shape != theirs[name].shape:
            raise ConfigError(f"mix_with: {name} has another shape there; use a model of this run")
        mixed[name] = value.lerp(theirs[name].to(value), weight)
    model.load_state_dict(mixed, strict=False)
