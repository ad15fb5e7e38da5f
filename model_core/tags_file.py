"""Tag heads on disk: one small file beside the weights of a checkpoint.

It holds what the heads are (their kinds, and the words) as metadata, so that a loaded model knows
its tags. The model's own files stay as they are.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from model_core.config import ModelConfig
from model_core.errors import CheckpointError
from model_core.heads_file import extend_checkpoint
from model_core.manifest import check_file
from model_core.tag_heads import TagHeads, TagHeadsConfig

TAGS_FILE = "tag_heads.safetensors"
CONFIG_KEY = "tag_heads"
TRAINED_BY = "python -m model_core train --config configs/train/flickr8k-tags.yaml"


def add_tag_heads(source: Path, target: Path, heads: TagHeads, dtype: torch.dtype) -> None:
    """Write the checkpoint ``source`` with other tag heads to the folder ``target``.

    The model's files are copied as they are; both folders may be the same.

    Raises:
        CheckpointError: ``source`` has no manifest that can be read.
    """
    extend_checkpoint(source, target, TAGS_FILE, lambda: write_tag_heads(target, heads, dtype))


def write_tag_heads(folder: Path, heads: TagHeads, dtype: torch.dtype) -> None:
    """Write the file alone, matrices in ``dtype``; the manifest is the caller's.

    Vectors stay in float32: they are few, and variances of batch norms may be small.
    """
    weights = {
        name: value.detach().to("cpu", dtype if value.dim() > 1 else torch.float32).contiguous()
        for name, value in heads.state_dict().items()
    }
    metadata = {CONFIG_KEY: heads.config.model_dump_json()}
    save_file(weights, folder / TAGS_FILE, metadata=metadata)


def read_tag_heads(folder: Path, hashes: Mapping[str, str], config: ModelConfig) -> TagHeads | None:
    """The tag heads that a checkpoint folder holds, in float32; None when there are none.

    Raises:
        CheckpointError: The file is damaged, or does not belong to the others.
    """
    path = folder / TAGS_FILE
    if path.name not in hashes and not path.exists():
        return None
    check_file(path, hashes)
    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get(CONFIG_KEY, "")
        heads = TagHeads(TagHeadsConfig.model_validate_json(described), config)
        heads.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (RuntimeError, SafetensorError, ValidationError, ValueError) as error:
        raise CheckpointError(f"{path}: is not of a model of this configuration") from error
    return heads.eval()
