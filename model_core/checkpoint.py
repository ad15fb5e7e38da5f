"""Checkpoints on disk: safetensors weights, config, tokenizer, and the manifest of their hashes.

The manifest holds the SHA-256 of every other file, so a damaged or mixed-up checkpoint stops at
load with the name of the file. Nothing here unpickles.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model_core.config import ModelConfig, parse_config
from model_core.errors import CheckpointError, ConfigError
from model_core.model import UnifiedModel
from model_core.stem import fold_batch_norms
from model_core.tokenizer import WordPieceTokenizer

FORMAT_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"
MANIFEST_FILE = "manifest.json"
HASHED_FILES = (WEIGHTS_FILE, CONFIG_FILE, TOKENIZER_FILE)
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
    """Write a checkpoint with its weights in ``dtype``; the batch norms of the stem get folded."""
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    fold_batch_norms(model.stem)
    weights = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in model.state_dict().items()
        if not _is_shared_copy(name)
    }
    save_file(weights, folder / WEIGHTS_FILE)
    config = json.dumps(model.config.model_dump(mode="json"), indent=2)
    (folder / CONFIG_FILE).write_text(config + "\n", encoding="utf-8")
    (folder / TOKENIZER_FILE).write_text(tokenizer.to_json(), encoding="utf-8")
    manifest = {
        "format_version": FORMAT_VERSION,
        "files": {name: _sha256(folder / name) for name in HASHED_FILES},
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path) -> LoadedCheckpoint:
    """The checkpoint in ``folder``, in float32 on the CPU, in evaluation mode.

    Raises:
        CheckpointError: A file is missing, damaged, or does not belong to the others.
    """
    manifest = _read_manifest(folder)
    for name in HASHED_FILES:
        _check_file(folder / name, manifest)
    try:
        config = parse_config(
            json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")), ModelConfig, CONFIG_FILE
        )
        weights = load_file(folder / WEIGHTS_FILE)
    except (ConfigError, json.JSONDecodeError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded: {error}") from error
    tokenizer = WordPieceTokenizer.from_file(folder / TOKENIZER_FILE)
    model = UnifiedModel(config, tokenizer.vocabulary_size)
    fold_batch_norms(model.stem)
    _load_weights(model, {name: value.float() for name, value in weights.items()}, folder)
    return LoadedCheckpoint(model.eval(), tokenizer, _sha256(folder / MANIFEST_FILE))


def _read_manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: not found; a checkpoint folder holds {MANIFEST_FILE}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, files = manifest["format_version"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged, not a manifest") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format {version!r}; this version reads {FORMAT_VERSION}")
    return files


def _check_file(path: Path, hashes: dict[str, str]) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path}: not found, the checkpoint is incomplete")
    if _sha256(path) != hashes.get(path.name):
        raise CheckpointError(
            f"{path}: does not match {MANIFEST_FILE}; the file is damaged or of another checkpoint"
        )


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
