"""Recipes that train heads for a finished model: they change nothing else, and can be resumed."""

from pathlib import Path

import pytest
import torch
import yaml

from model_core.__main__ import main
from model_core.checkpoint import load_checkpoint
from model_core.config import ModelConfig
from model_core.errors import ConfigError
from model_core.policy_heads import HEADS
from model_core.training.config import TrainConfig
from model_core.training.loop import Trainer
from tests.model_core.training.heads_run import values_of


@pytest.fixture(params=list(HEADS))
def values(
    request: pytest.FixtureRequest,
    tiny_config: ModelConfig,
    tiny_checkpoint: Path,
    data_folder: Path,
    tmp_path: Path,
) -> dict[str, object]:
    return values_of(request.param, tiny_config, tiny_checkpoint, data_folder, tmp_path)


def prefix(values: dict[str, object]) -> str:
    return f"policy_heads.{values['objective']}."


def test_only_the_heads_learn(values: dict[str, object]) -> None:
    trainer = Trainer(TrainConfig.model_validate(values))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    after = trainer.run().model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith(prefix(values))}


def test_killed_and_resumed_run_equals_the_uninterrupted_one(
    values: dict[str, object], tmp_path: Path
) -> None:
    whole = Trainer(TrainConfig.model_validate(values)).run().model.state_dict()
    config = TrainConfig.model_validate(values | {"output_folder": str(tmp_path / "parts")})
    Trainer(config).run(stop_at=4)
    for name, value in Trainer(config).run().model.state_dict().items():
        assert torch.equal(value, whole[name]), name


def test_command_leaves_the_checkpoint_with_one_more_file(
    values: dict[str, object], tmp_path: Path, tiny_checkpoint: Path
) -> None:
    path = tmp_path / "heads.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main(["train", "--config", str(path)]) == 0
    folder = tmp_path / "run" / "checkpoint"
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (tiny_checkpoint / name).read_bytes()
    loaded = load_checkpoint(folder)
    trained = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["model"]
    for name, value in loaded.model.policy_heads[str(values["objective"])].state_dict().items():
        assert torch.equal(value, trained[prefix(values) + name].half().float()), name


def test_other_recipes_drop_heads_of_the_weights_before(values: dict[str, object]) -> None:
    trainer = Trainer(TrainConfig.model_validate(values | {"objective": "joint"}))
    assert list(trainer.model.policy_heads) == []


def test_run_without_a_model_to_extend_is_refused(values: dict[str, object]) -> None:
    config = TrainConfig.model_validate(values | {"start_from": None})
    with pytest.raises(ConfigError, match="start_from: must name a checkpoint folder"):
        Trainer(config)
