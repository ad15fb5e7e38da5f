"""The optimiser and its schedule."""

import math

import torch
from torch import nn

from model_core.training.config import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over what is trainable; norms, biases and embeddings are not decayed."""
    trainable = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    decayed = [v for name, v in trainable if v.dim() > 1 and "embedding" not in name]
    others = [v for name, v in trainable if v.dim() <= 1 or "embedding" in name]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-6)


def learning_rate(config: OptimConfig, step: int, num_steps: int) -> float:
    """The rate at 0-based ``step``: linear warm-up, then a half cosine down to zero."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    span = max(num_steps - config.warmup_steps, 1)
    progress = min((step - config.warmup_steps) / span, 1.0)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
