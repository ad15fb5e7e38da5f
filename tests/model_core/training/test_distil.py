"""Exits that imitate a frozen teacher."""

from pathlib import Path

import torch

from model_core.config import ModelConfig
from model_core.training.config import TrainConfig
from model_core.training.distil import DistilRecipe
from model_core.training.loop import Trainer
from tests.model_core.training.heads_run import metrics, values_of


def run_config(tiny: ModelConfig, checkpoint: Path, data: Path, folder: Path) -> TrainConfig:
    values = values_of("distil", tiny, checkpoint, data, folder)
    loss = {"entailment_weight": 0, "shallow_memory_fraction": 0, "exits_per_step": 4}
    return TrainConfig.model_validate(values | {"loss": loss, "num_steps": 12})


def test_exits_come_closer_to_the_teacher_and_the_teacher_stays(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    trainer = Trainer(run_config(tiny_config, tiny_checkpoint, data_folder, tmp_path))
    recipe = trainer._recipe
    assert isinstance(recipe, DistilRecipe)
    teacher = recipe._teacher.model
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    trainer.run()
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name
    losses = [row["imitation_loss"] for row in metrics(tmp_path / "run")]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])


def test_last_exit_of_an_unchanged_student_has_nothing_to_learn(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(tiny_config, tiny_checkpoint, data_folder, tmp_path)
    trainer = Trainer(config)
    trainer.model.eval()  # without dropout the student is its teacher
    losses = trainer._recipe.losses(0)
    torch.testing.assert_close(losses.parts["caption"], torch.tensor(0.0), atol=1e-6, rtol=0)
    assert losses.parts["imitation"] > 1e-3


def test_another_teacher_can_be_named(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    config = run_config(tiny_config, tiny_checkpoint, data_folder, tmp_path)
    trainer = Trainer(config.model_copy(update={"teacher": tiny_checkpoint}))
    recipe = trainer._recipe
    assert isinstance(recipe, DistilRecipe)
    teacher = recipe._teacher.model.state_dict()
    for name, value in trainer.model.state_dict().items():
        if not name.startswith("encoder.feature_"):  # the run fits these to its photos
            torch.testing.assert_close(value, teacher[name])
