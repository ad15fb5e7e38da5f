"""Learned heads, or tag heads, as the only thing that a run trains.

The objective is named after the kind of policy that the heads are for; that of tag heads is lgvit.

The model itself is frozen, and what the run leaves is the checkpoint it started from with one
more file.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_core.errors import ConfigError
from model_core.evaluation.tag_metrics import best_threshold
from model_core.heads_file import add_heads
from model_core.model import UnifiedModel
from model_core.policy_heads import HEADS, PolicyHeads
from model_core.tag_heads import TagHeads, TagHeadsConfig
from model_core.tags_file import add_tag_heads
from model_core.training.config import Objective, TrainConfig
from model_core.training.tag_data import CHUNK_SIZE, TagData, read_tag_data


def trains_heads(config: TrainConfig) -> bool:
    """True when the run trains the heads of a policy, or tag heads, and nothing else."""
    return config.objective.value in HEADS or config.objective is Objective.LGVIT


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


def start_tag_heads(model: UnifiedModel, config: TagHeadsConfig) -> TagHeads:
    """New tag heads in ``model``, of which nothing else learns any more."""
    model.requires_grad_(False)
    heads = TagHeads(config, model.config).to(model.word_embedding.weight)
    model.tag_heads = heads
    return heads


def save_heads(model: UnifiedModel, config: TrainConfig, folder: Path, dtype: torch.dtype) -> None:
    """Write the checkpoint that the run started from, with the heads that it trained."""
    if model.tag_heads is not None and config.objective is Objective.LGVIT:
        tune_thresholds(model, model.tag_heads, config)
        add_tag_heads(checkpoint_to_extend(config), folder, model.tag_heads, dtype)
        return
    kind = config.objective.value
    heads = model.policy_heads[kind]
    assert isinstance(heads, PolicyHeads)
    add_heads(checkpoint_to_extend(config), folder, kind, heads, dtype)


@torch.no_grad()
def tune_thresholds(model: UnifiedModel, heads: TagHeads, config: TrainConfig) -> None:
    """Set the threshold of each depth to the one with the best micro-F1 on the split ``val``."""
    heads.eval()
    data = read_tag_data(model, config, "val", heads.config.words)
    wanted = data.targets.numpy() > 0
    for depth in range(1, len(heads.config.kinds) + 1):
        chances = _probabilities(heads, depth, data, config.device)
        heads.thresholds[depth - 1] = best_threshold(chances, wanted).value


def _probabilities(heads: TagHeads, depth: int, data: TagData, device: str) -> np.ndarray:
    """``(N, W)`` of every photo of a split at one depth."""

    def of_chunk(states: np.ndarray) -> Tensor:
        seen = torch.from_numpy(states.astype(np.float32)).to(device)
        return heads.logits(depth, heads.features(depth, seen)).sigmoid().cpu()

    (photos,) = data.states
    starts = range(0, len(photos), CHUNK_SIZE)
    parts = [of_chunk(photos[start : start + CHUNK_SIZE, depth - 1]) for start in starts]
    return torch.cat(parts).numpy()
