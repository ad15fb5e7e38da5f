"""The CoCa recipe: what it starts from, what it learns, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model_core.checkpoint import load_checkpoint
from model_core.config import ModelConfig, load_config
from model_core.errors import ConfigError
from model_core.training.config import DataConfig, LossConfig, OptimConfig, Precision, TrainConfig
from model_core.training.loop import Trainer
from model_core.training.teacher_forcing import draw_depths
from tests.tiny import COCA_OVERRIDES, write_model_file


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "coca.yaml"
    return write_model_file("coca", COCA_OVERRIDES, path)


def train_config(
    data_folder: Path, model_file: Path, folder: Path, **changes: object
) -> TrainConfig:
    values: dict[str, object] = {
        "model": str(model_file),
        "objective": "coca",
        "data": DataConfig(folder=data_folder, photos_per_batch=4, captions_per_photo=2),
        "optim": OptimConfig(learning_rate=1e-2, warmup_steps=2),
        "loss": LossConfig(exits_per_step=2),
        "num_steps": 6,
        "num_threads": 1,
        "precision": Precision.FLOAT32,
        "has_pretrained_start": False,
        "output_folder": folder / "run",
        "feature_folder": folder / "features",
    }
    return TrainConfig.model_validate(values | changes)


def test_both_losses_fall_and_every_part_learns(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    trainer = Trainer(train_config(data_folder, model_file, tmp_path, num_steps=50))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    after = trainer.run().model.state_dict()
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for name in ("caption_loss", "contrastive_loss"):
        values = [row[name] for row in rows]
        assert sum(values[-5:]) < sum(values[:5]), name
    assert rows[0]["loss"] == pytest.approx(
        rows[0]["caption_loss"] + 0.5 * rows[0]["contrastive_loss"], rel=1e-5
    )
    assert rows[0]["temperature"] == pytest.approx(0.07)
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert all(name.startswith(("stem.", "encoder.feature_")) for name in same), same


def test_run_starts_from_a_unified_checkpoint(
    data_folder: Path, model_file: Path, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    config = train_config(data_folder, model_file, tmp_path, start_from=tiny_checkpoint)
    model = Trainer(config).model
    source = load_checkpoint(tiny_checkpoint).model
    for name in (
        "word_embedding.weight",
        "encoder.layers.3.self_qkv.weight",
        "encoder.image_projection.weight",
        "decoder.layers.0.mlp_in.weight",
        "decoder.layers.3.cross_query.weight",
        "exit_head.bias",
    ):
        assert torch.equal(model.get_parameter(name), source.get_parameter(name)), name
    assert not any(name.startswith("decoder.layers.1.cross") for name in model.state_dict())
    # The adapters are those of other states: they start as the identity again.
    assert not model.get_parameter("exit_head.adapters.1.up.weight").any()
    assert not model.policy_heads


def test_unified_checkpoint_of_another_width_is_refused(
    data_folder: Path, model_file: Path, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(model_file.read_text().replace("ffn_size: 16", "ffn_size: 24"))
    config = train_config(data_folder, other, tmp_path, start_from=tiny_checkpoint)
    with pytest.raises(ConfigError, match="ffn_size: 24 must be that of start_from, 16"):
        Trainer(config)


def test_other_objectives_are_refused(data_folder: Path, model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'joint' does not train a model of architecture 'coca'"):
        Trainer(train_config(data_folder, model_file, tmp_path, objective="joint"))
    unified = train_config(data_folder, model_file, tmp_path, model="offramp-s")
    with pytest.raises(ConfigError, match=r"'coca' does not train .* architecture 'unified'"):
        Trainer(unified)


def test_killed_and_resumed_run_equals_the_uninterrupted_one(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    whole = Trainer(train_config(data_folder, model_file, tmp_path / "whole")).run()
    config = train_config(data_folder, model_file, tmp_path / "parts")
    Trainer(config).run(stop_at=3)
    expected = whole.model.state_dict()
    for name, value in Trainer(config).run().model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_only_exits_of_the_upper_half_are_drawn(model_file: Path) -> None:
    sizes = load_config(model_file, ModelConfig)
    drawn = {
        draw_depths(sizes, LossConfig(exits_per_step=9), np.random.default_rng(seed)).decoder
        for seed in range(5)
    }
    assert drawn == {(3, 4)}
