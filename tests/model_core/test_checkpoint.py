"""Checkpoints: what is saved is loaded, and damage is named."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from model_core.checkpoint import load_checkpoint, save_checkpoint
from model_core.config import ModelConfig
from model_core.errors import CheckpointError
from model_core.model import UnifiedModel
from model_core.tokenizer import WordPieceTokenizer


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def test_loaded_model_computes_what_the_saved_one_did(
    tmp_path: Path, tiny_config: ModelConfig, tokenizer: WordPieceTokenizer
) -> None:
    torch.manual_seed(1)
    model = UnifiedModel(tiny_config, tokenizer.vocabulary_size).eval()
    for module in model.stem.modules():  # batch norms that folding has to get right
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 2.0)
            module.bias.data.normal_()
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = model.image_features(pixels)
        save_checkpoint(model, tokenizer, tmp_path, torch.float32)
        loaded = load_checkpoint(tmp_path)
        torch.testing.assert_close(
            loaded.model.image_features(pixels), expected, atol=1e-4, rtol=1e-4
        )
    assert loaded.model.word_embedding.weight is loaded.model.decoder.word_embedding.weight
    assert loaded.tokenizer.encode("a dog runs") == tokenizer.encode("a dog runs")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_damaged_file_is_named(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: does not match manifest.json"):
        load_checkpoint(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "manifest.json"])
def test_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: not found"):
        load_checkpoint(copy)


def test_manifest_of_another_format_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        load_checkpoint(copy)
