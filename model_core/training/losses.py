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


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE between photos and their sentences (arXiv 2205.01917, 2103.00020).

    Args:
        images: ``(B, E)`` unit vectors.
        texts: ``(B*C, E)`` unit vectors; the C sentences of a photo stand together.
        scale: Factor on the cosines, 1 / temperature.
    """
    similarity = scale * texts.unflatten(0, (len(images), -1)) @ images.T  # (B, C, B)
    own = torch.arange(len(images), device=images.device)
    targets = own[:, None].expand(similarity.shape[:2])
    to_image = functional.cross_entropy(similarity.flatten(0, 1), targets.flatten())
    # A photo picks its sentence among one sentence of each photo, C times over.
    by_photo = similarity.permute(1, 2, 0)  # (C, B photos, B sentences)
    to_text = functional.cross_entropy(by_photo.flatten(0, 1), own.repeat(similarity.shape[1]))
    return (to_image + to_text) / 2


def self_critical_loss(logits: Tensor, targets: Tensor, advantages: Tensor) -> Tensor:
    """Mean over tokens of -advantage * log p of the drawn token (arXiv 1612.00563).

    Args:
        logits: ``(N, V)``.
        targets: ``(N,)`` drawn ids.
        advantages: ``(N,)`` reward over baseline of the caption that each token is of.
    """
    return (advantages * functional.cross_entropy(logits, targets, reduction="none")).mean()


def imitation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean KL(teacher || exit) of ``(N, V)`` logits; the teacher learns nothing from it."""
    return functional.kl_div(
        logits.log_softmax(-1),
        teacher.detach().log_softmax(-1),
        reduction="batchmean",
        log_target=True,
    )
