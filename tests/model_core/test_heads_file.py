"""Learned heads beside a checkpoint: what is saved is loaded, the model's own files stay."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model_core.checkpoint import load_checkpoint, save_checkpoint
from model_core.config import ModelConfig
from model_core.errors import CheckpointError
from model_core.heads_file import add_heads, heads_file
from model_core.manifest import write_manifest
from model_core.model import UnifiedModel
from model_core.policy_heads import CLASSIFIER, HEADS, AgreementClassifier
from model_core.tokenizer import WordPieceTokenizer

NAME = "exit_classifier.safetensors"


@pytest.fixture
def plain(tmp_path: Path, tiny_config: ModelConfig, tokenizer: WordPieceTokenizer) -> Path:
    """A checkpoint without heads, and a page that no manifest knows."""
    torch.manual_seed(4)
    folder = tmp_path / "plain"
    save_checkpoint(
        UnifiedModel(tiny_config, tokenizer.vocabulary_size), tokenizer, folder, torch.float16
    )
    (folder / "MODEL_CARD.md").write_text("a card")
    return folder


@pytest.fixture
def heads(tiny_config: ModelConfig) -> AgreementClassifier:
    torch.manual_seed(5)
    return AgreementClassifier(tiny_config)


def test_name_is_that_of_the_kind() -> None:
    assert heads_file(CLASSIFIER) == NAME
    assert set(HEADS) == {CLASSIFIER, "palbert", "jei_dnn"}


def test_heads_come_back_and_the_model_is_left_alone(
    plain: Path, tmp_path: Path, heads: AgreementClassifier
) -> None:
    target = tmp_path / "with heads"
    add_heads(plain, target, CLASSIFIER, heads, torch.float32)
    before, after = load_checkpoint(plain), load_checkpoint(target)
    assert list(before.model.policy_heads) == []
    found = after.model.policy_heads[CLASSIFIER].state_dict()
    assert found.keys() == heads.state_dict().keys()
    assert all(torch.equal(value, found[name]) for name, value in heads.state_dict().items())
    for name in ("model.safetensors", "config.json", "tokenizer.json", "MODEL_CARD.md"):
        assert (target / name).read_bytes() == (plain / name).read_bytes(), name
    assert not (plain / NAME).exists()


def test_manifest_and_hash_change_with_the_heads(plain: Path, heads: AgreementClassifier) -> None:
    hashes = [load_checkpoint(plain).hash]
    for factor in (1.0, 2.0):
        with torch.no_grad():
            heads.outer[0].bias += factor
        add_heads(plain, plain, CLASSIFIER, heads, torch.float16)
        hashes.append(load_checkpoint(plain).hash)
    assert len(set(hashes)) == 3
    files = json.loads((plain / "manifest.json").read_text())["files"]
    assert list(files) == ["model.safetensors", "config.json", "tokenizer.json", NAME]


def test_checkpoint_of_a_model_with_heads_has_them(tiny_checkpoint: Path, tmp_path: Path) -> None:
    loaded = load_checkpoint(tiny_checkpoint)
    save_checkpoint(loaded.model, loaded.tokenizer, tmp_path, torch.float32)
    assert load_checkpoint(tmp_path).hash == loaded.hash
    assert (tmp_path / NAME).read_bytes() == (tiny_checkpoint / NAME).read_bytes()


def test_old_heads_do_not_stay_beside_a_new_model(plain: Path, heads: AgreementClassifier) -> None:
    bare = load_checkpoint(plain)
    add_heads(plain, plain, CLASSIFIER, heads, torch.float16)
    save_checkpoint(bare.model, bare.tokenizer, plain, torch.float16)
    assert not (plain / NAME).exists()
    assert load_checkpoint(plain).hash == bare.hash


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint, tmp_path / "copy")


def test_damaged_heads_are_named(copy: Path) -> None:
    content = bytearray((copy / NAME).read_bytes())
    content[-1] ^= 1
    (copy / NAME).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{NAME}: does not match manifest.json"):
        load_checkpoint(copy)


def test_missing_heads_are_named(copy: Path) -> None:
    (copy / NAME).unlink()
    with pytest.raises(CheckpointError, match=f"{NAME}: not found"):
        load_checkpoint(copy)


def test_heads_that_the_manifest_does_not_know_are_refused(plain: Path, copy: Path) -> None:
    shutil.copy(copy / NAME, plain / NAME)
    with pytest.raises(CheckpointError, match=f"{NAME}: does not match manifest.json"):
        load_checkpoint(plain)


@pytest.mark.parametrize("name", ["inner.0.weight", "unknown"])
def test_heads_of_another_model_are_refused(
    plain: Path, heads: AgreementClassifier, name: str
) -> None:
    add_heads(plain, plain, CLASSIFIER, heads, torch.float32)
    save_file(heads.state_dict() | {name: torch.zeros(3, 3)}, plain / NAME)
    write_manifest(plain, ["model.safetensors", "config.json", "tokenizer.json", NAME])
    with pytest.raises(CheckpointError, match=f"{NAME}: is not of a model of this configuration"):
        load_checkpoint(plain)
