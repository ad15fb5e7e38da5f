"""The classifier recipe learns which depths agree with the last."""

from pathlib import Path

import pytest
import torch

from model_core.config import ModelConfig
from model_core.policy_heads import CLASSIFIER
from model_core.training.classifier import auroc
from model_core.training.config import TrainConfig
from model_core.training.loop import Trainer
from tests.model_core.training.heads_run import metrics, values_of

FIGURES = ("agreement", "auroc")


def test_loss_falls_and_every_depth_has_its_figures(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    values = values_of(CLASSIFIER, tiny_config, tiny_checkpoint, data_folder, tmp_path)
    config = TrainConfig.model_validate(values | {"num_steps": 60})
    Trainer(config).run()
    rows = metrics(config.output_folder)
    first, last = rows[:5], rows[-5:]
    assert sum(row["loss"] for row in last) < 0.8 * sum(row["loss"] for row in first)
    for name in (f"{figure}_depth_{depth}" for figure in FIGURES for depth in (1, 2, 3)):
        assert 0 < sum(row[name] for row in rows) / len(rows) < 1, name


def test_auroc_by_hand() -> None:
    # Of four pairs of a positive and a negative, three are in order.
    scores, labels = torch.tensor([0.9, 0.2, 0.7, 0.4]), torch.tensor([1.0, 0.0, 0.0, 1.0])
    assert float(auroc(scores, labels)) == 0.75
    assert float(auroc(-scores, labels)) == 0.25


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_auroc_of_one_class_is_a_half(label: float) -> None:
    assert float(auroc(torch.tensor([0.3, 0.9]), torch.full((2,), label))) == 0.5
