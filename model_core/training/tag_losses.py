"""Losses of the tag heads as pure functions.

Source: arXiv 2308.00255 (LGViT). The paper has one class per photo; here several words may hold, so
its cross entropy and its divergence between softmaxes become sums over words of the binary ones
(our reading), each a mean over photos.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def tag_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy of ``(B, N)`` log odds and 0/1 targets: sum over words, mean photo."""
    summed = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return summed / len(logits)


def weighted_exits(losses: Sequence[Tensor]) -> Tensor:
    """``sum_k k L_k / sum_k k`` over the exits at depths 1..L: deeper ones count more.

    Raises:
        ValueError: There is no exit.
    """
    if not losses:
        raise ValueError("losses must hold at least one exit's loss, got none")
    stacked = torch.stack(list(losses))
    depths = torch.arange(1, len(losses) + 1, device=stacked.device)
    return (depths * stacked).sum() / depths.sum()


def prediction_distillation(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2`` KL(teacher || exit) of the words' chances at a temperature; the teacher is given.

    Args:
        logits: ``(B, N)`` log odds of an exit.
        teacher: ``(B, N)`` those of the last exit.
        temperature: T, by which both are divided.
    """
    softened = teacher.detach() / temperature
    ours = logits / temperature
    wanted = softened.sigmoid()
    cross_entropy = functional.binary_cross_entropy_with_logits(ours, wanted, reduction="sum")
    entropy = functional.binary_cross_entropy_with_logits(softened, wanted, reduction="sum")
    return temperature**2 * (cross_entropy - entropy) / len(logits)


def channel_divergence(tokens: Tensor, final: Tensor) -> Tensor:
    """Mean KL(final || head) of the softmaxes over channels of ``(B, T, D)`` tokens each."""
    divergence = functional.kl_div(
        tokens.log_softmax(-1), final.detach().log_softmax(-1), reduction="sum", log_target=True
    )
    return divergence / tokens[..., 0].numel()


def feature_distance(tokens: Tensor, last: Tensor) -> Tensor:
    """Mean squared difference of ``(B, T, D)`` tokens to those of the last head of the kind."""
    return functional.mse_loss(tokens, last.detach())


def gram_distance(tokens: Tensor, last: Tensor) -> Tensor:
    """Mean squared difference of the ``(B, T, T)`` Gram matrices of ``(B, T, D)`` tokens.

    Products of tokens are divided by D, so that no width changes the scale (our reading).
    """
    return functional.mse_loss(_gram(tokens), _gram(last.detach()))


def _gram(tokens: Tensor) -> Tensor:
    return tokens @ tokens.transpose(1, 2) / tokens.shape[-1]
