"""Checkpoints on disk: safetensors weights, config, tokenizer, learned heads, and their manifest.

The manifest holds the SHA-256 of every other file, so a damaged or mixed-up checkpoint stops at
load with the name of the file. Nothing here unpickles.
"""

import json
from pathlib import Path
from typing import NamedTuple, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model_core.architectures import build_model
from model_core.config import ModelConfig, parse_config
from model_core.errors import CheckpointError, ConfigError
from model_core.heads_file import heads_file, read_heads, remove_heads, write_heads
from model_core.manifest import check_file, checkpoint_hash, read_manifest, write_manifest
from model_core.model import UnifiedModel
from model_core.policy_heads import PolicyHeads
from model_core.stem import fold_batch_norms
from model_core.tags_file import TAGS_FILE, read_tag_heads, write_tag_heads
from model_core.tokenizer import WordPieceTokenizer

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
HASHED_FILES = (WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE)
HEADS_PREFIXES = ("policy_heads.", "tag_heads.")  # in files of their own
SHIPPED_CHECKPOINT = Path(__file__).resolve().parent / "weights" / "offramp-s"


class LoadedCheckpoint(NamedTuple):
    """A model ready for inference, its tokenizer, and the hash that names both."""

    model: UnifiedModel
    tokenizer: WordPieceTokenizer
    hash: str


def default_checkpoint() -> Path:
    """Folder of the checkpoint that comes with the project."""
    return SHIPPED_CHECKPOINT


def save_checkpoint(
    model: UnifiedModel, tokenizer: WordPieceTokenizer, folder: Path, dtype: torch.dtype
) -> None:
    """Write a checkpoint with its weights in ``dtype``; the batch norms of the stem get folded.

    Learned heads and tag heads that the model has come with it, in files of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    fold_batch_norms(model.stem)
    weights = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in model.state_dict().items()
        if not _is_shared_copy(name) and not name.startswith(HEADS_PREFIXES)
    }
    save_file(weights, folder / WEIGHTS_FILE)
    config = json.dumps(model.config.model_dump(mode="json"), indent=2)
    (folder / CONFIG_FILE).write_text(config + "\n", encoding="utf-8")
    (folder / TOKENIZER_FILE).write_text(tokenizer.to_json(), encoding="utf-8")
    for kind, heads in model.policy_heads.items():
        write_heads(folder, kind, cast(PolicyHeads, heads), dtype)
    remove_heads(folder, kept=list(model.policy_heads))
    names = [*HASHED_FILES, *map(heads_file, model.policy_heads)]
    if model.tag_heads is None:
        (folder / TAGS_FILE).unlink(missing_ok=True)
    else:
        write_tag_heads(folder, model.tag_heads, dtype)
        names.append(TAGS_FILE)
    write_manifest(folder, names)


def load_checkpoint(folder: Path) -> LoadedCheckpoint:
    """The checkpoint in ``folder``, in float32 on the CPU, in evaluation mode.

    Raises:
        CheckpointError: A file is missing, damaged, or does not belong to the others.
    """
    hashes = read_manifest(folder)
    for name in HASHED_FILES:
        check_file(folder / name, hashes)
    try:
        config = parse_config(
            json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")), ModelConfig, CONFIG_FILE
        )
        weights = load_file(folder / WEIGHTS_FILE)
    except (ConfigError, json.JSONDecodeError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded: {error}") from error
    tokenizer = WordPieceTokenizer.from_file(folder / TOKENIZER_FILE)
    model = build_model(config, tokenizer.vocabulary_size)
    fold_batch_norms(model.stem)
    _load_weights(model, {name: value.float() for name, value in weights.items()}, folder)
    model.policy_heads.update(read_heads(folder, hashes, config))
    model.tag_heads = read_tag_heads(folder, hashes, config)
    return LoadedCheckpoint(model.eval(), tokenizer, checkpoint_hash(folder))


def _load_weights(model: UnifiedModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    shared = {name for name in model.state_dict() if _is_shared_copy(name)}
    try:
        result = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE}: shapes differ from {CONFIG_FILE}"
        ) from error
    wrong = [*(set(result.missing_keys) - shared), *result.unexpected_keys]
    if wrong:
        raise CheckpointError(f"{folder / WEIGHTS_FILE}: missing or unknown tensor {wrong[0]}")


def _is_shared_copy(name: str) -> bool:
    # The word embedding is one parameter under several module names; it is stored once.
    return name.endswith("word_embedding.weight") and name != "word_embedding.weight"
