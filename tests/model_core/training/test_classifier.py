"""The classifier recipe: it learns which depths agree with the last, and changes nothing else."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from model_core.__main__ import main
from model_core.checkpoint import load_checkpoint
from model_core.config import ModelConfig
from model_core.errors import ConfigError
from model_core.policy_heads import CLASSIFIER
from model_core.training.classifier import auroc
from model_core.training.config import TrainConfig
from model_core.training.loop import METRICS_FILE, Trainer

FIGURES = ("agreement", "auroc")
HEADS = f"policy_heads.{CLASSIFIER}."


def values_of(tiny: ModelConfig, checkpoint: Path, data: Path, folder: Path) -> dict[str, object]:
    """A short run, as its YAML file says it."""
    model = folder / "tiny.yaml"
    model.write_text(yaml.safe_dump(tiny.model_dump(mode="json")))
    return {
        "model": str(model),
        "objective": "classifier",
        "start_from": str(checkpoint),
        "data": {
            "folder": str(data),
            "photos_per_batch": 4,
            "captions_per_photo": 2,
            "pairs_per_batch": 3,
        },
        "optim": {"learning_rate": 1e-2, "warmup_steps": 2},
        "num_steps": 6,
        "num_threads": 1,
        "precision": "float32",
        "checkpoint_every_steps": 2,
        "output_folder": str(folder / "run"),
        "feature_folder": str(folder / "features"),
    }


@pytest.fixture
def values(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> dict[str, object]:
    return values_of(tiny_config, tiny_checkpoint, data_folder, tmp_path)


def metrics(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]


def test_loss_falls_and_every_depth_has_its_figures(values: dict[str, object]) -> None:
    config = TrainConfig.model_validate(values | {"num_steps": 60})
    Trainer(config).run()
    rows = metrics(config.output_folder)
    first, last = rows[:5], rows[-5:]
    assert sum(row["loss"] for row in last) < 0.8 * sum(row["loss"] for row in first)
    for name in (f"{figure}_depth_{depth}" for figure in FIGURES for depth in (1, 2, 3)):
        assert 0 < sum(row[name] for row in rows) / len(rows) < 1, name


def test_only_the_heads_learn(values: dict[str, object]) -> None:
    trainer = Trainer(TrainConfig.model_validate(values))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    after = trainer.run().model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith(HEADS)}
    assert len(changed) == 3 * 4  # three depths; a weight and a bias, twice


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
    path = tmp_path / "classifier.yaml"
    path.write_text(yaml.safe_dump(values))
    assert main(["train", "--config", str(path)]) == 0
    folder = tmp_path / "run" / "checkpoint"
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (folder / name).read_bytes() == (tiny_checkpoint / name).read_bytes()
    loaded = load_checkpoint(folder)
    trained = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["model"]
    for name, value in loaded.model.policy_heads[CLASSIFIER].state_dict().items():
        assert torch.equal(value, trained[HEADS + name].half().float()), name


def test_other_recipes_drop_heads_of_the_weights_before(values: dict[str, object]) -> None:
    trainer = Trainer(TrainConfig.model_validate(values | {"objective": "joint"}))
    assert list(trainer.model.policy_heads) == []


def test_run_without_a_model_to_extend_is_refused(values: dict[str, object]) -> None:
    config = TrainConfig.model_validate(values | {"start_from": None})
    with pytest.raises(ConfigError, match="start_from: must name a checkpoint folder"):
        Trainer(config)


def test_auroc_by_hand() -> None:
    # Of four pairs of a positive and a negative, three are in order.
    scores, labels = torch.tensor([0.9, 0.2, 0.7, 0.4]), torch.tensor([1.0, 0.0, 0.0, 1.0])
    assert float(auroc(scores, labels)) == 0.75
    assert float(auroc(-scores, labels)) == 0.25


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_auroc_of_one_class_is_a_half(label: float) -> None:
    assert float(auroc(torch.tensor([0.3, 0.9]), torch.full((2,), label))) == 0.5
