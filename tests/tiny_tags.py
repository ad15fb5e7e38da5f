"""Tag heads for the tiny model, and a checkpoint that has them."""

from pathlib import Path

import torch
from torch import nn

from model_core.checkpoint import load_checkpoint
from model_core.config import ModelConfig
from model_core.tag_heads import HeadKind, TagHeads, TagHeadsConfig
from model_core.tags_file import add_tag_heads

TAG_WORDS = ("dog", "grass", "snow", "people", "cat")
MIXED_KINDS = (HeadKind.LOCAL, HeadKind.LOCAL_POINTWISE, HeadKind.GLOBAL, HeadKind.GLOBAL)


def random_tag_heads(
    config: ModelConfig, kinds: tuple[HeadKind, ...] = MIXED_KINDS, seed: int = 9
) -> TagHeads:
    """Heads whose answers differ between photos and depths; batch norms have seen something."""
    heads_config = TagHeadsConfig(
        words=TAG_WORDS, kinds=kinds, local_width=6, global_width=8, mlp_width=5
    )
    heads = TagHeads(heads_config, config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in heads.parameters():
            value.normal_(std=0.6, generator=generator)
        for output in heads.outputs:
            output.bias -= 1.5  # most words are absent, so that no photo is sure of its answer
        for module in heads.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(std=0.5, generator=generator)
                module.running_var.uniform_(0.5, 2.0, generator=generator)
        heads.thresholds.copy_(torch.tensor([0.6, 0.5, 0.4, 0.3]))
    return heads.eval()


def write_tagging_checkpoint(source: Path, folder: Path) -> Path:
    """The checkpoint ``source`` with tag heads; returns its folder."""
    heads = random_tag_heads(load_checkpoint(source).model.config)
    add_tag_heads(source, folder, heads, torch.float32)
    return folder
