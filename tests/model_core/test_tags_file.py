"""Tag heads beside a checkpoint: they come back with their words, the model's files stay."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model_core.checkpoint import load_checkpoint, save_checkpoint
from model_core.errors import CheckpointError
from model_core.manifest import write_manifest
from model_core.tags_file import TAGS_FILE, add_tag_heads
from tests.tiny_tags import MIXED_KINDS, TAG_WORDS, random_tag_heads


def test_heads_come_back_and_the_model_is_left_alone(tiny_checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "with heads"
    before = load_checkpoint(tiny_checkpoint)
    heads = random_tag_heads(before.model.config)
    add_tag_heads(tiny_checkpoint, target, heads, torch.float32)
    after = load_checkpoint(target)
    assert before.model.tag_heads is None
    assert after.hash != before.hash
    assert after.model.tag_heads is not None
    assert after.model.tag_heads.config.words == TAG_WORDS
    assert after.model.tag_heads.config.kinds == MIXED_KINDS
    found = after.model.tag_heads.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in heads.state_dict().items())
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (target / name).read_bytes() == (tiny_checkpoint / name).read_bytes(), name
    assert TAGS_FILE in json.loads((target / "manifest.json").read_text())["files"]


def test_vectors_keep_their_precision(tiny_checkpoint: Path, tmp_path: Path) -> None:
    heads = random_tag_heads(load_checkpoint(tiny_checkpoint).model.config)
    add_tag_heads(tiny_checkpoint, tmp_path, heads, torch.float16)
    dtypes = {value.dim() > 1: value.dtype for value in load_file(tmp_path / TAGS_FILE).values()}
    assert dtypes == {True: torch.float16, False: torch.float32}


def test_checkpoint_of_a_model_with_tag_heads_has_them(
    tagging_checkpoint: Path, tmp_path: Path
) -> None:
    loaded = load_checkpoint(tagging_checkpoint)
    save_checkpoint(loaded.model, loaded.tokenizer, tmp_path, torch.float32)
    assert (tmp_path / TAGS_FILE).read_bytes() == (tagging_checkpoint / TAGS_FILE).read_bytes()
    assert load_checkpoint(tmp_path).model.tag_heads is not None
    loaded.model.tag_heads = None
    save_checkpoint(loaded.model, loaded.tokenizer, tmp_path, torch.float32)
    assert not (tmp_path / TAGS_FILE).exists()


@pytest.fixture
def copy(tagging_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tagging_checkpoint, tmp_path / "copy")


def test_damaged_heads_are_named(copy: Path) -> None:
    content = bytearray((copy / TAGS_FILE).read_bytes())
    content[-1] ^= 1
    (copy / TAGS_FILE).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{TAGS_FILE}: does not match manifest.json"):
        load_checkpoint(copy)


@pytest.mark.parametrize("metadata", [None, {"tag_heads": "{}"}])
def test_heads_of_another_kind_are_refused(copy: Path, metadata: dict[str, str] | None) -> None:
    save_file(load_file(copy / TAGS_FILE), copy / TAGS_FILE, metadata=metadata)
    write_manifest(copy, list(json.loads((copy / "manifest.json").read_text())["files"]))
    with pytest.raises(CheckpointError, match=f"{TAGS_FILE}: is not of a model of this config"):
        load_checkpoint(copy)
