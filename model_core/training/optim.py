"""The optimiser and its schedule."""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from model_core.training.config import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over what is trainable; each group carries its ``rate_scale`` for the schedule."""
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, value in model.named_parameters():
        if value.requires_grad:
            is_decayed = value.dim() > 1 and "embedding" not in name
            groups.setdefault((is_decayed, _rate_scale(name, config)), []).append(value)
    return torch.optim.AdamW(
        [
            {
                "params": params,
                "weight_decay": config.weight_decay * is_decayed,
                "rate_scale": rate_scale,
            }
            for (is_decayed, rate_scale), params in groups.items()
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-6,
        fused=True,
    )


def clip_gradients(optimizer: torch.optim.Optimizer, max_norm: float) -> Tensor:
    """Scale down what is larger than ``max_norm``; ``(G,)`` norms before that.

    Groups of parameters with the same rate are clipped together, and apart from the others: the
    gradients of the stem's folded convolutions are ten times as large as all others together.
    """
    by_rate: dict[float, list[nn.Parameter]] = {}
    for group in optimizer.param_groups:
        by_rate.setdefault(group["rate_scale"], []).extend(group["params"])
    return torch.stack([clip_grad_norm_(params, max_norm) for params in by_rate.values()])


def _rate_scale(name: str, config: OptimConfig) -> float:
    """Factor on the learning rate of a parameter: what starts pre-trained moves less."""
    scales = {
        "stem.": config.stem_rate_scale,
        "encoder.layers.": config.encoder_rate_scale,
        "decoder.": config.decoder_rate_scale,
        "exit_head.": config.decoder_rate_scale,
    }
    return next((scale for prefix, scale in scales.items() if name.startswith(prefix)), 1.0)


def learning_rate(config: OptimConfig, step: int, num_steps: int) -> float:
    """The rate at 0-based ``step``: linear warm-up, then a half cosine down to zero."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    span = max(num_steps - config.warmup_steps, 1)
    progress = min((step - config.warmup_steps) / span, 1.0)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
