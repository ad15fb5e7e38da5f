"""Drawing tokens."""

import math

import torch

from model_core.training.sampling import draw_token


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([math.log(0.1), math.log(0.6), math.log(0.3)]).expand(20_000, 3)
    drawn = draw_token(logits, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn.flatten(), minlength=3) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.015, rtol=0)


def test_impossible_tokens_are_not_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf], [0.0, -torch.inf, -torch.inf]])
    for seed in range(50):
        drawn = draw_token(logits, torch.Generator().manual_seed(seed))
        assert drawn.tolist() == [[1], [0]]


def test_same_generator_draws_the_same() -> None:
    logits = torch.randn(8, 50, generator=torch.Generator().manual_seed(1))
    first, again = (draw_token(logits, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, again)
