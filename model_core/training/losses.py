"""Losses as pure functions: tensors in, a scalar out."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model_core.training.data import IGNORED_TARGET


def caption_loss(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Mean cross entropy of ``(N, V)`` logits; ``IGNORED_TARGET`` counts for nothing."""
    return functional.cross_entropy(
        logits, targets, ignore_index=IGNORED_TARGET, label_smoothing=label_smoothing
    )


def deep_supervision(exit_losses: Sequence[Tensor]) -> Tensor:
    """``L_avg + L_N``: the mean over the exits plus the last one again.

    Source: arXiv 2311.08623 (the average alone weakens the last layer).

    Args:
        exit_losses: Scalars, shallow to deep; the last is full depth's.

    Raises:
        ValueError: There is no exit.
    """
    if not exit_losses:
        raise ValueError("exit_losses must hold at least the last exit's loss, got none")
    return torch.stack(list(exit_losses)).mean() + exit_losses[-1]
