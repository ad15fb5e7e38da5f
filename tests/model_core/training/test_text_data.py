"""Text alone: gaps hide runs of pieces, and a step's batch depends on the step alone."""

import itertools
from pathlib import Path

import pytest
import torch

from model_core.config import ModelConfig
from model_core.errors import InputError
from model_core.tokenizer import WordPieceTokenizer
from model_core.training.config import DataConfig
from model_core.training.data import IGNORED_TARGET
from model_core.training.text_data import TextData
from tests.dataset import write_text_folder

OWN_CAPTIONS = [["a dog in snow"], ["two people run", "a man and a dog", "people on grass"]]


def data_with(
    folder: Path, model: ModelConfig, tokenizer: WordPieceTokenizer, retold_fraction: float
) -> TextData:
    config = DataConfig(
        text_folder=write_text_folder(folder / "text"),
        sentences_per_batch=40,
        text_pairs_per_batch=5,
        retold_fraction=retold_fraction,
    )
    return TextData(config, model, tokenizer, OWN_CAPTIONS, seed=3)


@pytest.fixture
def text_data(tmp_path: Path, tiny_config: ModelConfig, tokenizer: WordPieceTokenizer) -> TextData:
    return data_with(tmp_path, tiny_config, tokenizer, 0)


def test_what_is_visible_is_a_part_of_the_target(
    text_data: TextData, tokenizer: WordPieceTokenizer
) -> None:
    batch = text_data.batch(0)
    hidden = 0
    for gapped, targets in zip(batch.shown.tolist(), batch.targets.tolist(), strict=True):
        shown = [number for number in gapped if number != tokenizer.pad_id]
        assert shown[0] == tokenizer.start_id and shown[-1] == tokenizer.end_id
        masks = [number == tokenizer.mask_id for number in shown]
        assert not any(first and second for first, second in itertools.pairwise(masks))
        remaining = iter([number for number in targets if number != IGNORED_TARGET])
        visible = [number for number in shown[1:-1] if number != tokenizer.mask_id]
        assert all(piece in remaining for piece in visible)  # in order
        hidden += sum(masks)
    assert hidden > 0


def test_retold_captions_are_others_of_the_same_photo(
    tmp_path: Path, tiny_config: ModelConfig, tokenizer: WordPieceTokenizer
) -> None:
    batch = data_with(tmp_path, tiny_config, tokenizer, 1).batch(0)
    _, three = OWN_CAPTIONS
    seen = set()
    for shown, targets in zip(batch.shown.tolist(), batch.targets.tolist(), strict=True):
        told = tokenizer.decode([number for number in shown if number != tokenizer.pad_id])
        target = tokenizer.decode([number for number in targets if number != IGNORED_TARGET])
        if target in three:
            assert told in three and told != target
            seen.add((told, target))
    assert len(seen) > 2


def test_inputs_are_the_targets_one_step_later(text_data: TextData) -> None:
    batch = text_data.batch(4)
    is_real = batch.targets[:, 1:] != IGNORED_TARGET
    assert torch.equal(batch.inputs[:, 1:][is_real], batch.targets[:, :-1][is_real])


def test_a_step_repeats_itself(text_data: TextData) -> None:
    assert torch.equal(text_data.batch(7).shown, text_data.batch(7).shown)
    assert not torch.equal(text_data.batch(7).inputs, text_data.batch(8).inputs)


def test_missing_folder_is_named(
    tmp_path: Path, tiny_config: ModelConfig, tokenizer: WordPieceTokenizer
) -> None:
    with pytest.raises(InputError, match="text_folder: must be set"):
        TextData(DataConfig(), tiny_config, tokenizer, [], seed=0)
    with pytest.raises(InputError, match=r"flickr30k_captions\.jsonl\.gz: not found"):
        TextData(DataConfig(text_folder=tmp_path), tiny_config, tokenizer, [], seed=0)
