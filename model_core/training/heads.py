"""Learned heads as the only thing that a run trains: an objective named after their policy's kind.

The model itself is frozen, and what the run leaves is the checkpoint it started from with one
more file.
"""

from pathlib import Path

import torch

from model_core.errors import ConfigError
from model_core.heads_file import add_heads
from model_core.model import UnifiedModel
from model_core.policy_heads import HEADS, PolicyHeads
from model_core.training.config import TrainConfig


def trains_heads(config: TrainConfig) -> bool:
    """True when the run trains the heads of a policy and nothing else."""
    return config.objective.value in HEADS


def checkpoint_to_extend(config: TrainConfig) -> Path:
    """The checkpoint whose heads a run trains.

    Raises:
        ConfigError: The run names none.
    """
    if config.start_from is None:
        raise ConfigError(
            f"start_from: must name a checkpoint folder for objective '{config.objective.value}', "
            "which trains heads for a finished model"
        )
    return config.start_from


def start_heads(model: UnifiedModel, kind: str) -> PolicyHeads:
    """New heads of ``kind`` in ``model``, of which nothing else learns any more."""
    model.requires_grad_(False)
    heads = HEADS[kind].heads_class(model.config).to(model.word_embedding.weight)
    model.policy_heads[kind] = heads
    return heads


def save_heads(model: UnifiedModel, config: TrainConfig, folder: Path, dtype: torch.dtype) -> None:
    """Write the checkpoint that the run started from, with the heads that it trained."""
    kind = config.objective.value
    heads = model.policy_heads[kind]
    assert isinstance(heads, PolicyHeads)
    add_heads(checkpoint_to_extend(config), folder, kind, heads, dtype)
