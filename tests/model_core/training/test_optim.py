"""The optimiser: what is clipped together, and how fast each part moves."""

import torch
from torch import nn

from model_core.training.optim import clip_gradients


def test_parameters_of_different_rates_are_clipped_apart() -> None:
    slow, fast, biases = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    optimizer = torch.optim.SGD(
        [
            {"params": [slow], "rate_scale": 0.1},
            {"params": [fast], "rate_scale": 1.0},
            {"params": [biases], "rate_scale": 1.0},
        ]
    )
    slow.grad = torch.tensor([30.0, 40.0])
    fast.grad = torch.tensor([0.0, 1.5])
    biases.grad = torch.tensor([2.0, 0.0])
    norms = clip_gradients(optimizer, 1.0)
    torch.testing.assert_close(norms, torch.tensor([50.0, 2.5]))
    torch.testing.assert_close(slow.grad, torch.tensor([0.6, 0.8]), atol=1e-5, rtol=0)
    torch.testing.assert_close(fast.grad, torch.tensor([0.0, 0.6]), atol=1e-5, rtol=0)
    torch.testing.assert_close(biases.grad, torch.tensor([0.8, 0.0]), atol=1e-5, rtol=0)
