"""Attention: the training path computes what the fused one does."""

import pytest
import torch

from model_core.layers import KeyValue, attend


@pytest.mark.parametrize("kind", ["plain", "causal", "keys", "queries"])
def test_bfloat16_training_attention_equals_the_fused_one(kind: str) -> None:
    generator = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(2, 5, 3, 8, generator=generator) for _ in range(3))
    mask = None
    if kind == "keys":
        mask = torch.ones(2, 5, dtype=torch.bool)
        mask[1, 3:] = False
    if kind == "queries":
        mask = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, -1, -1)
    is_causal = kind == "causal"
    expected = attend(query, KeyValue(key, value), mask, is_causal)
    learning = [part.bfloat16().requires_grad_() for part in (query, key, value)]
    result = attend(learning[0], KeyValue(*learning[1:]), mask, is_causal)
    assert result.dtype is torch.bfloat16
    torch.testing.assert_close(result.float(), expected, atol=0.03, rtol=0.03)
    result.float().sum().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in learning)
