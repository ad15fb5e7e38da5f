"""Training: a run that is killed and resumed ends where the uninterrupted one does."""

import json
import math
from pathlib import Path

import pytest
import torch

from model_core.checkpoint import save_checkpoint
from model_core.errors import CheckpointError, ConfigError
from model_core.training.config import DataConfig, OptimConfig, Precision, TrainConfig
from model_core.training.loop import STATE_FILE, Trainer
from model_core.training.recipe import autocast_dtype
from tests.dataset import write_text_folder
from tests.tiny import TINY_OVERRIDES, write_model_file


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.yaml"
    return write_model_file("offramp-s", [*TINY_OVERRIDES, "embedding_size=6"], path)


def train_config(
    data_folder: Path, model_file: Path, folder: Path, **changes: object
) -> TrainConfig:
    values: dict[str, object] = {
        "model": str(model_file),
        "data": DataConfig(
            folder=data_folder, photos_per_batch=4, captions_per_photo=2, pairs_per_batch=3
        ),
        "optim": OptimConfig(learning_rate=1e-2, warmup_steps=2),
        "num_steps": 6,
        "num_threads": 1,
        "precision": Precision.FLOAT32,
        "checkpoint_every_steps": 2,
        "has_pretrained_start": False,
        "output_folder": folder / "run",
        "feature_folder": folder / "features",
    }
    return TrainConfig.model_validate(values | changes)


def losses(folder: Path) -> list[float]:
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_killed_and_resumed_run_equals_the_uninterrupted_one(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    whole = Trainer(train_config(data_folder, model_file, tmp_path / "whole")).run()
    config = train_config(data_folder, model_file, tmp_path / "parts")
    killed = Trainer(config)
    killed.run(stop_at=2)
    killed._step()  # work after the last checkpoint is lost in a kill
    resumed = Trainer(config).run()
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert losses(tmp_path / "parts")[-4:] == losses(tmp_path / "whole")[-4:]


@pytest.mark.parametrize("objective", ["text", "cider", "distil", "contrastive"])
def test_every_recipe_resumes_exactly(
    objective: str, data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    changes = {
        "objective": objective,
        "data": DataConfig(
            folder=data_folder,
            text_folder=write_text_folder(tmp_path / "text"),
            photos_per_batch=3,
            pairs_per_batch=3,
            num_crops=1,
            sentences_per_batch=4,
            text_pairs_per_batch=3,
        ),
        "optim": OptimConfig(learning_rate=1e-3, warmup_steps=2, average_decay=0.5),
    }
    whole = Trainer(train_config(data_folder, model_file, tmp_path / "whole", **changes)).run()
    config = train_config(data_folder, model_file, tmp_path / "parts", **changes)
    Trainer(config).run(stop_at=4)
    resumed = Trainer(config).run()
    expected = whole.model.state_dict()
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_run_ends_with_the_average_of_its_weights(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    optim = OptimConfig(learning_rate=1e-2, warmup_steps=1, average_decay=0.75)
    trainer = Trainer(train_config(data_folder, model_file, tmp_path, optim=optim, num_steps=3))
    weight = trainer.model.encoder.layers[0].mlp_in.weight
    expected = weight.detach().clone()
    for _ in range(3):
        trainer._step()
        expected = 0.75 * expected + 0.25 * weight.detach()
    trained = trainer.run()
    torch.testing.assert_close(trained.model.encoder.layers[0].mlp_in.weight, expected)


def test_run_continues_from_a_checkpoint(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    first = Trainer(train_config(data_folder, model_file, tmp_path / "first")).run()
    folder = tmp_path / "checkpoint"
    save_checkpoint(first.model, first.tokenizer, folder, torch.float32)
    config = train_config(data_folder, model_file, tmp_path / "second", start_from=folder)
    second = Trainer(config)
    for name, value in first.model.named_parameters():
        if not name.startswith("stem."):
            assert torch.equal(second.model.get_parameter(name), value), name
    assert second.tokenizer.to_json() == first.tokenizer.to_json()


def test_start_from_another_configuration_is_refused(
    data_folder: Path, model_file: Path, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(model_file.read_text().replace("adapter_size: 4", "adapter_size: 5"))
    config = train_config(data_folder, other, tmp_path, start_from=tiny_checkpoint)
    with pytest.raises(ConfigError, match=r"start_from: .* another configuration"):
        Trainer(config)


def test_loss_falls(data_folder: Path, model_file: Path, tmp_path: Path) -> None:
    Trainer(train_config(data_folder, model_file, tmp_path, num_steps=60)).run()
    values = losses(tmp_path)
    assert sum(values[-5:]) < 0.8 * sum(values[:5])


def test_stem_is_frozen_and_every_exit_learns(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    trainer = Trainer(train_config(data_folder, model_file, tmp_path, num_steps=12))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    after = trainer.run().model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert not [name for name in changed if name.startswith("stem.")]
    for depth in range(4):
        assert f"exit_head.adapters.{depth}.up.weight" in changed
        assert f"encoder.layers.{depth}.self_qkv.weight" in changed


def test_last_stem_blocks_learn_when_asked(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    config = train_config(data_folder, model_file, tmp_path, num_trainable_stem_blocks=2)
    trainer = Trainer(config)
    stem = trainer.model.stem
    before = {name: value.clone() for name, value in stem.state_dict().items()}
    after = trainer.run().model.stem.state_dict()
    changed = {
        name.rpartition(".")[0].removesuffix("._project_conv").removesuffix("._expand_conv")
        for name, value in after.items()
        if not torch.equal(value, before[name])
    }
    last = stem.num_blocks - 1
    assert {f"_blocks.{last}", f"_blocks.{last - 1}", "_conv_head"} <= changed
    assert not [name for name in changed if name == "_conv_stem" or f"_blocks.{last - 2}" in name]


def test_sentence_pairs_join_the_joint_recipe(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    folder = write_text_folder(tmp_path / "text")
    data = DataConfig(
        folder=data_folder, text_folder=folder, photos_per_batch=4, text_pairs_per_batch=3
    )
    Trainer(train_config(data_folder, model_file, tmp_path, data=data, num_steps=2)).run()
    rows = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    first = rows[0]
    # Three labels, L_avg + L_N: twice log 3 before anything is learned.
    assert first["text_entailment_loss"] == pytest.approx(2 * math.log(3), abs=0.4)


def test_checkpoint_without_poolers_gets_new_ones(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text(model_file.read_text().replace("embedding_size: 6", "embedding_size: 0"))
    first = Trainer(train_config(data_folder, plain, tmp_path / "first", num_steps=2)).run()
    assert first.model.poolers is None
    folder = tmp_path / "checkpoint"
    save_checkpoint(first.model, first.tokenizer, folder, torch.float32)
    config = train_config(data_folder, model_file, tmp_path / "second", start_from=folder)
    second = Trainer(config)
    assert second.model.poolers is not None
    for name, value in first.model.named_parameters():
        assert torch.equal(second.model.get_parameter(name), value), name
    second.run()
    assert "contrastive_loss" in (tmp_path / "second" / "run" / "metrics.jsonl").read_text()


def test_run_starts_from_the_mix_of_two_checkpoints(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    models = []
    for seed, folder in enumerate(folders):
        config = train_config(data_folder, model_file, folder, num_steps=2, seed=seed)
        trained = Trainer(config).run()
        save_checkpoint(trained.model, trained.tokenizer, folder, torch.float32)
        models.append(trained.model)
    mixed = Trainer(
        train_config(
            *(data_folder, model_file, tmp_path / "mixed"),
            **{"start_from": folders[0], "mix_with": folders[1], "mix_weight": 0.25},
        )
    ).model
    first, second = (model.get_parameter("word_embedding.weight") for model in models)
    assert not torch.equal(first, second)
    torch.testing.assert_close(
        mixed.get_parameter("word_embedding.weight"), 0.75 * first + 0.25 * second
    )


def test_contrastive_recipe_trains_the_poolers_alone(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    trainer = Trainer(
        train_config(data_folder, model_file, tmp_path, objective="contrastive", num_steps=30)
    )
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    after = trainer.run().model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("poolers.") for name in changed)
    values = losses(tmp_path)
    assert sum(values[-5:]) < sum(values[:5])


def test_contrastive_recipe_computes_in_bfloat16(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    changes = {"objective": "contrastive", "precision": Precision.BFLOAT16, "num_steps": 1}
    Trainer(train_config(data_folder, model_file, tmp_path, **changes)).run()
    assert math.isfinite(losses(tmp_path)[0])


def test_contrastive_recipe_needs_poolers(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.yaml"
    plain.write_text(model_file.read_text().replace("embedding_size: 6", "embedding_size: 0"))
    with pytest.raises(ConfigError, match="embedding_size: must be above 0"):
        Trainer(train_config(data_folder, plain, tmp_path, objective="contrastive"))


def test_state_of_another_configuration_is_refused(
    data_folder: Path, model_file: Path, tmp_path: Path
) -> None:
    Trainer(train_config(data_folder, model_file, tmp_path)).run(stop_at=2)
    with pytest.raises(CheckpointError, match="another configuration"):
        Trainer(train_config(data_folder, model_file, tmp_path, seed=2)).run()


def test_damaged_state_is_refused(data_folder: Path, model_file: Path, tmp_path: Path) -> None:
    config = train_config(data_folder, model_file, tmp_path)
    config.output_folder.mkdir(parents=True)
    (config.output_folder / STATE_FILE).write_bytes(b"PK damaged")
    with pytest.raises(CheckpointError, match=r"state\.pt: damaged"):
        Trainer(config).run()


def test_precision_is_what_was_asked() -> None:
    assert autocast_dtype(Precision.FLOAT32, "cpu") is torch.float32
    assert autocast_dtype(Precision.BFLOAT16, "cpu") is torch.bfloat16
    assert autocast_dtype(Precision.AUTO, "cuda") is torch.bfloat16
